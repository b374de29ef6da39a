package uaclient

import (
	"context"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Read returns one DataValue for each of nodes. Part 4 (1.05), 5.11.2 (5.10.2 in 1.04)
func (c *Client) Read(ctx context.Context, nodes []uabinary.ReadValueID) ([]uabinary.DataValue, error) {
	request := uabinary.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth, NodesToRead: nodes}
	var response uabinary.ReadResponse
	if err := c.invoke(ctx, &request.RequestHeader, &request, &response); err != nil {
		return nil, err
	}
	if len(response.Results) != len(nodes) {
		return nil, errResults
	}
	return response.Results, nil
}

// Write returns one StatusCode for each of nodes. Part 4 (1.05), 5.11.4 (5.10.4 in 1.04)
func (c *Client) Write(ctx context.Context, nodes []uabinary.WriteValue) ([]ua.StatusCode, error) {
	request := uabinary.WriteRequest{NodesToWrite: nodes}
	var response uabinary.WriteResponse
	if err := c.invoke(ctx, &request.RequestHeader, &request, &response); err != nil {
		return nil, err
	}
	if len(response.Results) != len(nodes) {
		return nil, errResults
	}
	return response.Results, nil
}
