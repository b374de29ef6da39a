package uabinary

import (
	"bytes"
	"errors"
	"testing"

	"github.com/gopcua/opcua/ua"
)

func TestExtensionObjectDecode(t *testing.T) {
	e := ExtensionObjectOf(&UserNameIdentityToken{PolicyID: "user", UserName: "joe", Password: []byte("secret")})
	var token UserNameIdentityToken
	if err := e.Decode(&token, nil); err != nil || token.UserName != "joe" || string(token.Password) != "secret" {
		t.Fatalf("%v, %+v", err, token)
	}
	clear(e.Body)
	if string(token.Password) != "secret" {
		t.Error("the token aliases the body")
	}
}

// Part 6 (1.05), 5.2.2.15.
func TestExtensionObjectDecodeRefuses(t *testing.T) {
	good := ExtensionObjectOf(&Range{Low: 1, High: 2})
	tooShort, tooLong, otherType, xml := good, good, good, good
	tooShort.Body = good.Body[:15]
	tooLong.Body = append(bytes.Clone(good.Body), 0)
	otherType.TypeID = NumericID(1, good.TypeID.Numeric)
	xml.Encoding = BodyXMLElement
	for name, e := range map[string]ExtensionObject{
		"too short": tooShort, "too long": tooLong, "other type": otherType, "XML": xml, "null": {}, "null of nil": ExtensionObjectOf(nil),
	} {
		if err := e.Decode(new(Range), nil); !errors.Is(err, ua.StatusBadDecodingError) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := ExtensionObjectOf(&AnonymousIdentityToken{PolicyID: "long"})
	if err := long.Decode(new(AnonymousIdentityToken), &Limits{MaxStringLength: 3}); !errors.Is(err, ua.StatusBadEncodingLimitsExceeded) {
		t.Errorf("beyond the limit: %v", err)
	}
}

func TestExtensionObjectIsNull(t *testing.T) {
	if e := ExtensionObjectOf(nil); !e.IsNull() {
		t.Error("nil is not null")
	}
	if e := ExtensionObjectOf(new(Range)); e.IsNull() {
		t.Error("a Range is null")
	}
}

// A body without bytes has the length 0, never null.
func TestExtensionObjectOfEmptyBody(t *testing.T) {
	e := ExtensionObject{TypeID: NumericID(0, 5), Encoding: BodyByteString, Body: []byte{}}
	if got, want := e.Append(nil), []byte{0, 5, 1, 0, 0, 0, 0}; !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestExtensionObjectUnknownEncoding(t *testing.T) {
	r := NewReader([]byte{0, 5, 3, 0, 0, 0, 0}, nil)
	if parseOne[ExtensionObject](r); !errors.Is(r.Err(), ua.StatusBadDecodingError) {
		t.Error(r.Err())
	}
}
