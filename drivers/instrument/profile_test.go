package instrument

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers/driverstest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// ptyConn lets a pseudo-terminal stand where the rig wants a connection.
type ptyConn struct {
	*os.File
	net.Conn
}

func (p ptyConn) Read(b []byte) (int, error)  { return p.File.Read(b) }
func (p ptyConn) Write(b []byte) (int, error) { return p.File.Write(b) }
func (p ptyConn) Close() error                { return p.File.Close() }

func (p ptyConn) SetDeadline(t time.Time) error      { return p.File.SetDeadline(t) }
func (p ptyConn) SetReadDeadline(t time.Time) error  { return p.File.SetReadDeadline(t) }
func (p ptyConn) SetWriteDeadline(t time.Time) error { return p.File.SetWriteDeadline(t) }

// answerOfScale is a scale with the Standard Interface Command Set that cannot be set to zero now.
func answerOfScale(line string, conn net.Conn) {
	reply(conn, map[string]string{
		"SI\r\n": "S D     100.25 g\r\n", "I4\r\n": "I4 A \"B021002593\"\r\n", "T\r\n": "T S     100.25 g\r\n", "Z\r\n": "Z I\r\n",
		"TAC\r\n": "TAC A\r\n", "@\r\n": "I4 A \"B021002593\"\r\n",
	}[line])
}

// Every profile is read without a complaint, and there is a test with its words below.
func TestProfilesAreGood(t *testing.T) {
	names := Profiles()
	if fmt.Sprint(names) != "[barcode dsmr jsonlines keyvalue nmea0183 scpi sics]" {
		t.Error(names)
	}
	for _, name := range names {
		field := ""
		if name == "keyvalue" || name == "jsonlines" {
			field = `<Message Name="Line"><Field Name="T" From="/t" Type="Float64"/></Message>`
		}
		_, r := parse(t, dev(`Profile="`+name+`"`, field))
		if len(r.Problems) > 0 {
			t.Errorf("%s: %v", name, r.Problems)
		}
	}
}

// nmea makes a sentence with its checksum.
func nmea(body string) string {
	x := byte(0)
	for i := range len(body) {
		x ^= body[i]
	}
	return fmt.Sprintf("$%s*%02X\r\n", body, x)
}

func TestNMEA(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`Profile="nmea0183"`, `<Message Name="VTG" Disabled="1"/><Message Name="GGA" Arrival="last">
			<Time From="1" Layout="HHmmss" Limit="86400000"/><Field Name="Hdop" Disabled="1"/></Message>`))
		r.run()
		settle()
		r.say("$GPGGA,1,2\r\n") // from before we came
		r.say(nmea("GNGGA,123519.25,4807.038,N,01131.000,W,1,08,0.9,545.4,M,46.9,M,,") + nmea("GPVTG,1,T,2,M,3,N,4,K"))
		r.want("Latitude", good, 48.1173)
		if v := r.variable("Latitude").Value(); v.SourceTimestamp.Time().Format("15:04:05.00") != "12:35:19.25" {
			t.Error(v.SourceTimestamp.Time())
		}
		r.want("Longitude", good, "-11.516666666666667")
		r.want("FixQuality", good, 1)
		r.want("Satellites", good, 8)
		r.want("Altitude", good, 545.4)
		if r.vars["Dev.Hdop"] != nil || r.vars["Dev.SpeedKmh"] != nil {
			t.Error("what is disabled is there")
		}
		r.say(nmea("GPRMC,123520,V,,,,,,,230394,,,N"))
		r.want("Valid", good, false)
		r.want("Latitude", ua.StatusBadSensorFailure, nil)
		r.want("SpeedKnots", ua.StatusBadSensorFailure, nil) // empty
		r.say(nmea("GPRMC,123521,A,4807.038,S,01131.000,E,022.4,084.4,230394,003.1,W"))
		r.want("Latitude", good, -48.1173)
		r.want("SpeedKnots", good, 22.4)
		r.say(nmea("GPRMC,123521,A,4861.038,S,01131.000,X,022.4,084.4,230394,003.1,W"))
		r.want("Latitude", ua.StatusBadConfigurationError, nil)
		r.want("Longitude", ua.StatusBadConfigurationError, nil)
		r.want("SpeedKnots", good, 22.4)
		r.say(nmea("SDDBT,7.8,f,2.4,M,1.3,F") + nmea("WIMWV,214.8,R,0.1,K,V") + nmea("GPHDT,274.07,T"))
		r.want("Depth", good, 2.4)
		r.want("WindAngle", ua.StatusBadSensorFailure, nil)
		r.want("HeadingTrue", good, 274.07)
		r.say("$GPHDT,11.11,T*00\r\n")
		r.want("HeadingTrue", held, 274.07)
		r.want("Depth", good, 2.4)
		after(11 * time.Second)
		r.want("Depth", ua.StatusUncertainLastUsableValue, 2.4)
	})
}

func TestSICS(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`Profile="sics"`, `<Message Name="Weight"><Field Name="Weight" Unit="GRM" ExpectUnit="unit=g"/></Message><Poll Name="Weight" Period="200"/>`))
		weight := "S D     100.25 g\r\n"
		r.answer = func(line string, conn net.Conn) {
			if line == "SI\r\n" {
				reply(conn, weight)
				return
			}
			answerOfScale(line, conn)
		}
		r.run()
		after(time.Second)
		r.want("Weight", good, 100.25)
		r.want("Stable", good, false)
		r.want("Unit", good, "g")
		r.want("SerialNumberOfScale", good, "B021002593")
		if !strings.Contains(fmt.Sprint(r.driver.channel.devices[0].tags), "GRM") {
			t.Error("the unit is lost")
		}
		for text, want := range map[string]ua.StatusCode{
			"S S -      1.5 g\r\n": good, "S I\r\n": ua.StatusBadInvalidState, "S +\r\n": ua.StatusBadOutOfRange, "S -\r\n": ua.StatusBadOutOfRange,
			"ES\r\n": ua.StatusBadInvalidState, "S S 1.5 lb\r\n": ua.StatusBadConfigurationError,
		} {
			r.change(func() { weight = text })
			after(time.Second)
			if dv := r.variable("Weight").Value(); dv.Status != want || want == good && dv.Value.Any() != -1.5 {
				t.Errorf("%q: %s %v", text, driverstest.StatusName(dv.Status), dv.Value.Any())
			}
		}
		for method, want := range map[string]ua.StatusCode{"Zero": ua.StatusBadInvalidState, "Tare": good, "ClearTare": good, "Reset": good, "TareNow": ua.StatusBadTimeout} {
			if s := r.call("Dev#" + method); s != want {
				t.Errorf("%s: %v", method, s)
			}
		}
	})
}

func TestSCPI(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`Profile="scpi"`, `<Poll Name="Voltage" Send="MEAS:VOLT:DC?\n" Period="500"><Field Name="Voltage" Type="Float64" Unit="VLT" NaNStatus="BadSensorFailure"/></Poll>
			<Command Name="Output" Type="Bool" True="ON" False="OFF" Send="OUTP {value}\n"/>`))
		volts := "+1.23450000E+01\n"
		r.answer = func(line string, conn net.Conn) {
			reply(conn, map[string]string{"*IDN?\n": "Acme,PS-30,SN 77,1.02\n", "SYST:ERR?\n": "-113,\"Undefined header, \"\"X\"\"\"\r\n", "MEAS:VOLT:DC?\n": volts}[line])
		}
		r.run()
		after(time.Second)
		r.want("Voltage", good, 12.345)
		r.want("Id.Model", good, "PS-30")
		r.want("Error.Code", good, -113)
		r.want("Error.Text", good, `Undefined header, "X"`)
		r.change(func() { volts = "NaN\n" })
		after(time.Second)
		r.want("Voltage", ua.StatusBadSensorFailure, nil)
		if s := r.write("Output", true); s != good || !strings.Contains(r.said(), "OUTP ON\n") {
			t.Error(s)
		}
		if s := r.call("Dev#ClearStatus"); s != good {
			t.Error(s)
		}
	})
}

// telegram is in the form of DSMR 5.0.2.
func telegram(power string) string {
	body := "/EDG5\\2TEST-0001\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(261121233000W)\r\n0-0:96.1.1(4530303434303037)\r\n1-0:1.8.1(000123.456*kWh)\r\n" +
		"1-0:1.8.2(000789.012*kWh)\r\n1-0:2.8.1(000000.000*kWh)\r\n0-0:96.14.0(0002)\r\n1-0:1.7.0(" + power + "*kW)\r\n1-0:32.7.0(229.8*V)\r\n" +
		"1-0:31.7.0(001*A)\r\n0-0:96.7.21(00003)\r\n0-1:24.2.1(261121230000W)(00012.345*m3)\r\n!"
	crc := uint16(0)
	for i := range len(body) {
		crc ^= uint16(body[i])
		for range 8 {
			if carry := crc & 1; carry != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return fmt.Sprintf("%s%04X\r\n", body, crc)
}

func TestDSMR(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`Profile="dsmr"`, ``))
		r.run()
		settle()
		r.say(telegram("00.345")[200:])
		r.say(telegram("00.345"))
		r.want("PowerImport", good, 0.345)
		r.want("EnergyImport.Tariff2", good, 789.012)
		r.want("Tariff", good, 2)
		r.want("L1.Voltage", good, 229.8)
		r.want("L2.Voltage", waiting, nil) // a meter with one phase
		r.want("Gas.Volume", good, 12.345)
		r.want("EquipmentId", good, "4530303434303037")
		at, _ := r.variable("MeterTime").Value().Value.Any().(uabinary.DateTime)
		if got := at.Time().Local().Format(time.DateTime); got != "2026-11-21 23:30:00" {
			t.Error(got)
		}
		r.say(strings.Replace(telegram("00.345"), "00.345", "90.345", 1))
		r.want("PowerImport", held, 0.345)
		r.say(telegram("00.500"))
		r.want("PowerImport", good, 0.5)
		after(31 * time.Second)
		r.want("PowerImport", ua.StatusUncertainLastUsableValue, 0.5)
	})
}

func TestKeyValueAndJSON(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`Profile="keyvalue"`, `<Message Name="Line"><Field Name="Temperature" From="temp" Type="Float64" Unit="CEL"/>
			<Field Name="Door" From="door" Type="Bool" True="open" False="shut"/></Message>`))
		r.run()
		settle()
		r.say("emp=99\r\n") // the end of a line
		r.say("temp=21.5, hum=40, door=open\n")
		r.want("Temperature", good, 21.5)
		r.want("Door", good, true)
		r.say("temp=nonsense\n")
		r.want("Temperature", ua.StatusBadConfigurationError, nil)
		r.want("Door", good, true) // not in the line
	})
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`Profile="jsonlines"`, `<Message Name="Line" Where="/kind=env"><Field Name="Temperature" From="/t" Type="Float64"/>
			<Field Name="Second" From="/list/1/v" Type="Int16"/><Field Name="Name" From="/name" Type="String"/><Field Name="On" From="/on" Type="Bool"/></Message>`))
		r.run()
		after(time.Second)
		r.say(`{"kind":"env","t":21.5,"list":[{"v":1},{"v":-2}],"name":"Küche \"A\"","on":true}` + "\n")
		r.want("Temperature", good, 21.5)
		r.want("Second", good, -2)
		r.want("Name", good, `Küche "A"`)
		r.want("On", good, true)
		r.say(`{"kind":"other","t":1}` + "\n" + `{"kind":"env","t":null,"list":[]}` + "\n" + `{"kind":"env",` + "\n")
		r.want("Temperature", ua.StatusBadSensorFailure, nil)
		r.want("Second", good, -2)
		r.counted(unmatched, 2)
	})
}
