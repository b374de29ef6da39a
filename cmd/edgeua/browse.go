package main

import (
	"context"
	"fmt"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
)

// A server's tree may be endless; what a person reads is not.
const (
	browseDepth = 6
	browseNodes = 5000
)

// treeWalk is one walk over the tree below Objects.
type treeWalk struct {
	client *uaclient.Client
	seen   map[uabinary.NodeID]bool
	out    *printer
}

// browseTree prints the nodes below Objects, but for the Server object, which
// every server has.
func browseTree(ctx context.Context, c *uaclient.Client, out *printer) error {
	w := &treeWalk{client: c, seen: map[uabinary.NodeID]bool{}, out: out}
	return w.below(ctx, uabinary.NumericID(0, id.ObjectsFolder), 0)
}

func (w *treeWalk) below(ctx context.Context, node uabinary.NodeID, depth int) error {
	if depth >= browseDepth {
		return nil
	}
	children, err := w.client.Browse(ctx, uabinary.BrowseDescription{
		NodeID: node, BrowseDirection: ua.BrowseDirectionForward, IncludeSubtypes: true,
		ReferenceTypeID: uabinary.NumericID(0, id.HierarchicalReferences), ResultMask: uint32(ua.BrowseResultMaskAll),
	}, browseNodes)
	if err != nil {
		return fmt.Errorf("browse: %w", err)
	}
	for i := range children {
		child := children[i].NodeID.NodeID
		if w.seen[child] || len(w.seen) >= browseNodes || child.Namespace == 0 {
			continue
		}
		w.seen[child] = true
		w.out.node(&children[i], depth)
		if err := w.below(ctx, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}
