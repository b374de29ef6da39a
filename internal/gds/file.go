package gds

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFile bounds the file of kept answers, in bytes.
const maxFile = 1 << 20

// record is what an answer was about.
type record struct{ directory, applicationURI string }

func recordOf(c Client) record { return record{c.Directory, c.ApplicationURI} }

// answer is how it is written.
type answer struct {
	Directory      string   `json:"directory"`
	ApplicationURI string   `json:"applicationUri"`
	URLs           []string `json:"urls"`
}

// readFile reads the kept answers; a file that is not there holds none. What is in it is checked like what comes from a
// directory.
func readFile(file string) (map[record][]string, error) {
	all := map[record][]string{}
	if file == "" {
		return all, nil
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return all, err
	}
	return all, parse(data, all)
}

func parse(data []byte, all map[record][]string) error {
	var answers []answer
	if err := json.Unmarshal(data, &answers); err != nil {
		return err
	}
	for _, a := range answers {
		var urls []string
		for _, text := range a.URLs {
			if u, ok := usable(reversePrefix + text); ok && len(urls) < MaxURLs && !slices.Contains(urls, u) {
				urls = append(urls, u)
			}
		}
		all[record{a.Directory, a.ApplicationURI}] = urls
	}
	return nil
}

// save writes the answers of all clients: the file is either the old one or the new one, whenever power fails.
func (l *Lookup) save() error {
	if l.cfg.File == "" {
		return nil
	}
	data, err := json.MarshalIndent(l.answers(), "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(l.cfg.File)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(l.cfg.File)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after Rename it is not there any more
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), l.cfg.File); err != nil {
		return err
	}
	if d, err := os.Open(dir); err == nil { // makes the new name last, where the system lets a directory be synced
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

// answers lists what is known, in an order that does not depend on chance.
func (l *Lookup) answers() []answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []answer{}
	for c, e := range l.clients {
		if len(e.urls) > 0 {
			all = append(all, answer{c.Directory, c.ApplicationURI, e.urls})
		}
	}
	slices.SortFunc(all, func(a, b answer) int {
		return strings.Compare(a.Directory+" "+a.ApplicationURI, b.Directory+" "+b.ApplicationURI)
	})
	return all
}
