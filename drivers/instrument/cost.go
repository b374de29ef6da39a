package instrument

import (
	"fmt"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/framing"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// usualReply is how many characters a reply has whose length is not configured: a number with its sign, unit and marks.
const usualReply = 20

// loads estimates what polls and keep-alives cost a serial line; nil where there is none, or nothing is asked. What
// instruments say by themselves is not known before.
func (c *channel) loads() drivers.Estimate {
	if c.line == nil {
		return nil
	}
	var all drivers.Estimate
	for i := range c.devices {
		dev := &c.devices[i]
		if dev.disabled {
			continue
		}
		for _, p := range dev.polls {
			all = c.share(all, fmt.Sprintf("send poll %s of %s", xmltree.Quote(p.name), xmltree.Quote(dev.name)), &p, c.reply(dev, &p))
		}
		for _, k := range dev.keepAlives {
			all = c.share(all, "send KeepAlive of "+xmltree.Quote(dev.name), &k, 0)
		}
	}
	return all
}

// share adds a poll; one that is sent once on each connection is no load.
func (c *channel) share(all drivers.Estimate, task string, p *poll, reply time.Duration) drivers.Estimate {
	if p.period == 0 {
		return all
	}
	sent := len(p.send.fill(&c.spec, &c.sum, func(string) string { return "" }))
	busy := c.bus.silence + time.Duration(sent)*c.character() + reply
	return append(all, drivers.Share{Task: task, Part: busy.Seconds() / p.period.Seconds()})
}

// reply is what passes until a poll is answered: the device thinks, its message comes, and where silence ends a message,
// that as well.
func (c *channel) reply(dev *device, p *poll) time.Duration {
	size := usualReply
	switch {
	case c.spec.Kind == framing.Fixed:
		size = c.spec.Size
	case len(p.expect) > 0 && dev.messages[p.expect[0]].length > 0:
		size = dev.messages[p.expect[0]].length
	}
	busy := drivers.ThinkingTime + time.Duration(size)*c.character()
	if c.spec.Kind == framing.Idle {
		busy += c.spec.Gap
	}
	return busy
}
