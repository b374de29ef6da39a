package serial

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// usbID names an adapter: usb:0403:6001:A9ET5FV7. Without a serial number it must be the only one of its kind.
type usbID struct {
	vendor, product string // four digits, hexadecimal, small letters
	serial          string // empty: any
}

func parseUSB(text string) (usbID, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) < 2 || !fourDigits(parts[0]) || !fourDigits(parts[1]) {
		return usbID{}, errors.New("a USB port is usb:VID:PID or usb:VID:PID:SERIAL with four hexadecimal digits each, as in usb:0403:6001")
	}
	id := usbID{vendor: strings.ToLower(parts[0]), product: strings.ToLower(parts[1])}
	if len(parts) == 3 {
		id.serial = parts[2]
	}
	return id, nil
}

func fourDigits(s string) bool {
	_, err := strconv.ParseUint(s, 16, 16)
	return err == nil && len(s) == 4
}

// resolve finds the device file of a port. sys is where the kernel shows its devices, usually /sys, and dev where their
// files are.
func resolve(port, sys, dev string) (string, error) {
	text, ok := strings.CutPrefix(port, "usb:")
	if !ok {
		return port, nil
	}
	id, err := parseUSB(text)
	if err != nil {
		return "", err
	}
	ttys, err := filepath.Glob(filepath.Join(sys, "class/tty/*/device"))
	if err != nil {
		return "", err
	}
	var found []string
	for _, device := range ttys {
		if id.matches(device) {
			found = append(found, filepath.Base(filepath.Dir(device)))
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no adapter %s is plugged in", port)
	case 1:
		return filepath.Join(dev, found[0]), nil
	}
	return "", fmt.Errorf("%d ports fit %s (%s); add the serial number, or use /dev/serial/by-id", len(found), port, strings.Join(found, ", "))
}

// matches walks from a tty up to the USB device that it belongs to.
func (id usbID) matches(device string) bool {
	at, err := filepath.EvalSymlinks(device)
	if err != nil {
		return false
	}
	for ; len(at) > 1; at = filepath.Dir(at) {
		if vendor := attribute(at, "idVendor"); vendor != "" {
			return vendor == id.vendor && attribute(at, "idProduct") == id.product && (id.serial == "" || attribute(at, "serial") == id.serial)
		}
	}
	return false
}

func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
