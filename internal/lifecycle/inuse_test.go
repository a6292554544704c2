package lifecycle_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

func destroy(in *plan.Input) { in.Destroy = true }

// stuck has deletes of a module refused as in use, some times or for ever.
func (w *world) stuck(module string, times int) {
	w.cloud.Fault = func(op, m string, effect bool) error {
		if op != "delete" || m != module || effect || times == 0 {
			return nil
		}
		times--
		return &sdk.Error{Code: sdk.CodeConflict, Message: "in use", Blockers: []string{"a machine"}}
	}
}

// What is in use is tried again, and what waited for it goes after it.
func TestInUseIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.must([]resource.Desired{node("net", nil, nil), node("db", nil, from("net", "id")), node("web", nil, from("db", "id"))})
	w.stuck("db", 3)
	s := w.must(nil, destroy)
	if got := w.cloud.Modules(); len(got) != 0 || s.Done != 3 {
		t.Errorf("there are %v, done %d", got, s.Done)
	}
}

// What stays in use fails with who is in the way; what it stands on stays,
// what is beside it goes.
func TestInUseForEver(t *testing.T) {
	w := newWorld(t)
	w.must([]resource.Desired{node("net", nil, nil), node("db", nil, from("net", "id")), node("cache", nil, nil)})
	w.stuck("db", -1)
	s, err := w.apply(nil, destroy)
	if fault.CodeOf(err) != fault.Partial || s.Done != 1 || s.Failed != 1 || s.Skipped != 1 {
		t.Fatalf("done %d, failed %d, skipped %d: %v", s.Done, s.Failed, s.Skipped, err)
	}
	if got := w.cloud.Modules(); !slices.Equal(got, []string{"db", "net"}) {
		t.Errorf("there are %v", got)
	}
	for _, n := range s.Nodes {
		var f *fault.Error
		if n.Address == "db" && (!asFault(n.Err, &f) || !slices.Contains(f.Detail, "in the way: a machine")) {
			t.Errorf("the failure of db is %v", n.Err)
		}
	}
}

func asFault(err error, f **fault.Error) bool { return errors.As(err, f) }
