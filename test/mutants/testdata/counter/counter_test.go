package counter

import "testing"

func TestAdd(t *testing.T) {
	var c Counter
	if !c.Empty() {
		t.Error("counts from the start")
	}
	if err := c.Add(3); err != nil || c.n != 3 || c.Empty() {
		t.Error(c.n, err)
	}
	if err := c.Add(98); err == nil {
		t.Error("more than a hundred")
	}
}
