package uabinary

import "testing"

func TestGUIDText(t *testing.T) {
	const text = "72962B91-FA75-4AE6-8D28-B404DC7DAF63"
	g, err := ParseGUID(text)
	if err != nil || g.String() != text {
		t.Errorf("%v, %v", g, err)
	}
	for _, bad := range []string{"", "72962B91FA754AE68D28B404DC7DAF63", text + "0", text[:35], "{" + text[1:], "72962B91-FA75-4AE6-8D28+B404DC7DAF63", "7296-B91-FA75-4AE6-8D28-B404DC7DAF63"} {
		if g, err := ParseGUID(bad); err == nil {
			t.Errorf("%q is %v", bad, g)
		}
	}
}
