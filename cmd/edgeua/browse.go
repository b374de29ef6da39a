package main

import (
	"context"
	"fmt"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// A server's tree may be endless; what a person reads is not.
const (
	browseDepth = 6
	browseNodes = 5000
)

// treeWalk is one walk over the tree below Objects.
type treeWalk struct {
	client *opcua.Client
	seen   map[string]bool
	out    *printer
}

// browseTree prints the nodes below Objects, but for the Server object, which
// every server has.
func browseTree(ctx context.Context, c *opcua.Client, out *printer) error {
	w := &treeWalk{client: c, seen: map[string]bool{}, out: out}
	return w.below(ctx, ua.NewNumericNodeID(0, id.ObjectsFolder), 0)
}

func (w *treeWalk) below(ctx context.Context, node *ua.NodeID, depth int) error {
	if depth >= browseDepth {
		return nil
	}
	children, err := w.children(ctx, node)
	if err != nil {
		return fmt.Errorf("browse %v: %w", node, err)
	}
	for _, ref := range children {
		child := ref.NodeID.NodeID
		if w.seen[child.String()] || len(w.seen) >= browseNodes || child.Namespace() == 0 {
			continue
		}
		w.seen[child.String()] = true
		w.out.node(ref, depth)
		if err := w.below(ctx, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// children returns the targets of all hierarchical references.
func (w *treeWalk) children(ctx context.Context, node *ua.NodeID) ([]*ua.ReferenceDescription, error) {
	res, err := w.client.Browse(ctx, &ua.BrowseRequest{
		RequestedMaxReferencesPerNode: 1000,
		NodesToBrowse: []*ua.BrowseDescription{{
			NodeID: node, BrowseDirection: ua.BrowseDirectionForward,
			ReferenceTypeID: ua.NewNumericNodeID(0, id.HierarchicalReferences), IncludeSubtypes: true,
			ResultMask: uint32(ua.BrowseResultMaskAll),
		}},
	})
	if err != nil {
		return nil, err
	}
	var all []*ua.ReferenceDescription
	for results := res.Results; ; {
		if len(results) != 1 {
			return nil, ua.StatusBadUnexpectedError
		}
		result := results[0]
		if result.StatusCode != ua.StatusOK {
			return nil, result.StatusCode
		}
		all = append(all, result.References...)
		if len(result.ContinuationPoint) == 0 || len(all) > browseNodes {
			return all, nil
		}
		next, err := w.client.BrowseNext(ctx, &ua.BrowseNextRequest{ContinuationPoints: [][]byte{result.ContinuationPoint}})
		if err != nil {
			return nil, err
		}
		results = next.Results
	}
}
