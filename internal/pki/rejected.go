package pki

import (
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// DefaultMaxRejected is how many untrusted certificates are kept when the configuration does not say.
const DefaultMaxRejected = 20

const (
	rejectedBurst = 5                // files written without a pause
	rejectedPause = 10 * time.Second // then one file each
	complainEvery = time.Minute      // about a directory that cannot be written
)

// rejectedStore keeps untrusted certificates for approval. Strangers cause its writes, so it is bounded in
// number and in rate, and file names come from the hash alone.
type rejectedStore struct {
	dir   string
	limit int
	log   *slog.Logger
	clock func() time.Time

	mu         sync.Mutex // guards what follows
	writes     bucket
	complained time.Time
}

// bucket limits how often something happens: burst times at once, then once per pause.
type bucket struct {
	burst    int
	pause    time.Duration
	used     int
	refilled time.Time
}

// take tells whether it may happen once more, and counts it.
func (b *bucket) take(now time.Time) bool {
	if refill := int(min(now.Sub(b.refilled)/b.pause, time.Duration(b.used))); refill > 0 {
		b.used -= refill
		b.refilled = b.refilled.Add(time.Duration(refill) * b.pause)
	}
	if b.used == 0 {
		b.refilled = now
	}
	if b.used == b.burst {
		return false
	}
	b.used++
	return true
}

func newRejectedStore(dir string, limit int, log *slog.Logger, clock func() time.Time) *rejectedStore {
	if limit <= 0 {
		limit = DefaultMaxRejected
	}
	return &rejectedStore{dir: dir, limit: min(limit, maxFiles), log: log, clock: clock,
		writes: bucket{burst: rejectedBurst, pause: rejectedPause}}
}

// keep stores a certificate unless it is there already or too many came lately.
func (r *rejectedStore) keep(c *x509.Certificate) {
	if r.dir == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	path := filepath.Join(r.dir, rejectedName(c.Raw))
	if _, err := os.Lstat(path); err == nil || !r.writes.take(r.clock()) {
		return
	}
	if err := r.write(path, c.Raw); err != nil {
		if now := r.clock(); r.complained.IsZero() || now.Sub(r.complained) >= complainEvery {
			r.complained = now
			r.log.Warn("rejected certificate cannot be stored", "path", path, "err", err)
		}
		return
	}
	r.log.Info("unknown certificate kept for approval: move it to the trusted directory to accept it",
		"certificate", describe(c), "path", path)
}

func (r *rejectedStore) write(path string, der []byte) error {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	if err := r.makeRoom(); err != nil {
		return err
	}
	return writeFile(path, der, 0o644)
}

// makeRoom removes the oldest of our files until another one fits. Files of other names are not ours.
func (r *rejectedStore) makeRoom() error {
	f, err := os.Open(r.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	entries, _ := f.ReadDir(maxEntries) // at the end of a short directory this is io.EOF
	ours := regexp.MustCompile(`^[0-9a-f]{64}\.der$`)
	type aged struct {
		name string
		at   time.Time
	}
	var kept []aged
	for _, entry := range entries {
		if !ours.MatchString(entry.Name()) {
			continue
		}
		if info, err := entry.Info(); err == nil {
			kept = append(kept, aged{entry.Name(), info.ModTime()})
		}
	}
	for len(kept) >= r.limit {
		oldest := 0
		for i := range kept {
			if kept[i].at.Before(kept[oldest].at) {
				oldest = i
			}
		}
		if err := os.Remove(filepath.Join(r.dir, kept[oldest].name)); err != nil {
			return err
		}
		kept = append(kept[:oldest], kept[oldest+1:]...)
	}
	return nil
}
