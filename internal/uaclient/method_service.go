package uaclient

import (
	"context"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Call runs one method and returns its output arguments. A refusal of the method is a *NodeError.
// Part 4 (1.05), 5.12.2 (5.11.2 in 1.04)
func (c *Client) Call(ctx context.Context, method uabinary.CallMethodRequest) ([]uabinary.Variant, error) {
	request := uabinary.CallRequest{MethodsToCall: []uabinary.CallMethodRequest{method}}
	var response uabinary.CallResponse
	if err := c.invoke(ctx, &request.RequestHeader, &request, &response); err != nil {
		return nil, err
	}
	if len(response.Results) != 1 {
		return nil, errResults
	}
	result := &response.Results[0]
	if isBad(result.StatusCode) {
		return nil, &NodeError{NodeID: method.MethodID, Code: result.StatusCode}
	}
	return result.OutputArguments, nil
}
