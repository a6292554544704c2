package temporal

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
)

// crossLimit is how many bytes of outputs cross at once, as JSON: Temporal takes
// 2 MB. What is beyond stays in the record, where workers find it.
const crossLimit = 1 << 20

// thin leaves out what is in the record: all but what is sensitive.
func (f finished) thin() finished {
	var all map[string]json.RawMessage
	if json.Unmarshal(f.Outputs, &all) != nil {
		return f
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return !slices.Contains(f.Sensitive, name) })
	f.Outputs, f.Recorded = nil, true
	if len(all) > 0 {
		if raw, err := json.Marshal(all); err == nil {
			f.Outputs = raw
		}
	}
	return f
}

// fit makes what crosses small enough, the largest first. It tells how large it
// is then.
func fit(list map[string]finished) (size int) {
	for _, f := range list {
		size += len(f.Outputs)
	}
	names := slices.SortedFunc(maps.Keys(list), func(a, b string) int {
		if d := len(list[b].Outputs) - len(list[a].Outputs); d != 0 {
			return d
		}
		if a < b {
			return -1
		}
		return 1
	})
	for _, name := range names {
		if size <= crossLimit {
			break
		}
		thin := list[name].thin()
		size -= len(list[name].Outputs) - len(thin.Outputs)
		list[name] = thin
	}
	return size
}

// fetch adds what did not cross, from the record.
func fetch(ctx context.Context, store *event.Store, in stepInput) error {
	var tl *event.Timeline
	for name, f := range in.Finished {
		if !f.Recorded {
			continue
		}
		if tl == nil {
			var err error
			if tl, err = store.Timeline(ctx, in.Job.Run); err != nil && !errors.Is(err, event.ErrNoRun) {
				return err
			}
			if err != nil {
				return fault.New(fault.NotFound, "the run's record is gone, and the outputs with it that step %q needs", in.Step)
			}
		}
		all := map[string]json.RawMessage{}
		step := tl.Step("", name)
		if step == nil {
			return fault.New(fault.NotFound, "the outputs of step %q are no longer in the record", name)
		}
		for _, raw := range []json.RawMessage{step.Outputs, f.Outputs} {
			if err := json.Unmarshal(raw, &all); len(raw) > 0 && err != nil {
				return fault.Wrap(fault.Integrity, err, "read what step %q left", name)
			}
		}
		raw, err := json.Marshal(all)
		if err != nil {
			return err
		}
		f.Outputs = raw
		in.Finished[name] = f
	}
	return nil
}
