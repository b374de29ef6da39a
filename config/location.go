package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// Names of the main file, and of the file that says where it is.
const (
	MainName     = "TcUaServerConfig.xml"
	LocationName = "TcUaConfigLocation.xml"
)

// StateDir is the directory of what a server that runs on this main file writes for itself. main may be all that
// Options.Main may be; of the files only a TcUaConfigLocation.xml is read.
func StateDir(main string) (string, error) {
	l := &loader{opts: Options{Main: main}, parse: parseFile, report: &xmltree.Report{}, cfg: &Config{}}
	if !l.followMain() {
		return "", errors.New(l.report.Problems[0].String())
	}
	file, err := filepath.Abs(l.opts.Main)
	return filepath.Join(filepath.Dir(file), StateName), err
}

// followMain finds the main file: Main may name it, its directory, or a TcUaConfigLocation.xml, which TwinCAT puts beside
// its program to move all files elsewhere. Where Main does not exist, such a file beside it is followed.
func (l *loader) followMain() bool {
	info, err := os.Stat(l.opts.Main)
	switch {
	case err == nil && info.IsDir() && filepath.Ext(l.opts.Main) != ".xml":
		l.opts.Main = filepath.Join(l.opts.Main, MainName)
		return l.followMissing()
	case err == nil && strings.EqualFold(filepath.Base(l.opts.Main), LocationName):
		return l.follow(l.opts.Main)
	case errors.Is(err, fs.ErrNotExist):
		return l.followMissing()
	}
	return true // whatever is wrong is said when it is read
}

// followMissing looks for a TcUaConfigLocation.xml in place of a main file that is not there.
func (l *loader) followMissing() bool {
	location := filepath.Join(filepath.Dir(l.opts.Main), LocationName)
	if _, err := os.Stat(l.opts.Main); !errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if _, err := os.Stat(location); err != nil {
		return true
	}
	return l.follow(location)
}

// follow reads where the files are. One step is made, so that no circle can be.
func (l *loader) follow(file string) bool {
	root, _ := l.read(file, "TcUaConfigLocation", true)
	if root == nil {
		return false
	}
	at, text := root, ""
	if e := root.Child("Location"); e != nil {
		at, text = e, strings.TrimSpace(e.Text)
	}
	dir := strings.ReplaceAll(text, `\`, "/")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(filepath.Dir(file), dir)
	}
	info, err := os.Stat(dir)
	switch {
	case text == "":
		l.refuse(at, "names no directory; write <Location>/etc/edgeua</Location>")
	case drive.MatchString(text):
		l.refuse(at, "%s is a path of Windows; write the directory on this machine", xmltree.Quote(text))
	case err != nil || !info.IsDir():
		l.refuse(at, "%s is not a directory on this machine", xmltree.Quote(text))
	default:
		l.opts.Main = filepath.Join(dir, MainName)
		return true
	}
	return false
}
