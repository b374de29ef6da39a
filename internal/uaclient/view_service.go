package uaclient

import (
	"context"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// referencesPerResponse is how many references one response shall have at the most.
const referencesPerResponse = 1000

// Browse returns the references of one node, following continuation points until there are limit of them. A refusal
// of the node is a *NodeError. Part 4 (1.05), 5.9.2 and 5.9.3 (5.8 in 1.04)
func (c *Client) Browse(ctx context.Context, node uabinary.BrowseDescription, limit int) ([]uabinary.ReferenceDescription, error) {
	request := uabinary.BrowseRequest{RequestedMaxReferencesPerNode: referencesPerResponse, NodesToBrowse: []uabinary.BrowseDescription{node}}
	var response uabinary.BrowseResponse
	if err := c.invoke(ctx, &request.RequestHeader, &request, &response); err != nil {
		return nil, err
	}
	var all []uabinary.ReferenceDescription
	for results, rounds := response.Results, 1; ; rounds++ {
		if len(results) != 1 {
			return nil, errResults
		}
		result := &results[0]
		if isBad(result.StatusCode) {
			return nil, &NodeError{NodeID: node.NodeID, Code: result.StatusCode}
		}
		all = append(all, result.References...)
		if len(result.ContinuationPoint) == 0 {
			return all, nil
		}
		if len(all)+rounds > limit { // a round counts too, or empty ones could go on for ever
			_, err := c.browseNext(ctx, result.ContinuationPoint, true)
			return all[:min(len(all), limit)], err
		}
		var err error
		if results, err = c.browseNext(ctx, result.ContinuationPoint, false); err != nil {
			return nil, err
		}
	}
}

// browseNext asks for more references, or releases the continuation point.
func (c *Client) browseNext(ctx context.Context, point []byte, release bool) ([]uabinary.BrowseResult, error) {
	request := uabinary.BrowseNextRequest{ReleaseContinuationPoints: release, ContinuationPoints: [][]byte{point}}
	var response uabinary.BrowseNextResponse
	err := c.invoke(ctx, &request.RequestHeader, &request, &response)
	return response.Results, err
}
