package temporal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What crosses is never larger than it may be but for what is sensitive, and
// with the record nothing of it is lost.
func TestFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, recorded := map[string]finished{}, map[string]map[string]json.RawMessage{}
		secrets := 0
		for i := range rapid.IntRange(0, 12).Draw(t, "steps") {
			f, open := finished{}, map[string]json.RawMessage{}
			all := map[string]json.RawMessage{}
			for n := range rapid.IntRange(0, 6).Draw(t, "outputs") {
				name := fmt.Sprint("o", n)
				all[name] = json.RawMessage(fmt.Sprintf("%q", strings.Repeat("x", rapid.IntRange(0, 60<<10).Draw(t, "size"))))
				if rapid.Bool().Draw(t, "sensitive") {
					f.Sensitive = append(f.Sensitive, name)
					secrets += len(all[name])
				} else {
					open[name] = all[name]
				}
			}
			raw, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			f.Outputs = raw
			list[fmt.Sprint(i)], recorded[fmt.Sprint(i)] = f, open
		}
		before := maps.Clone(list)
		size, sum := fit(list), 0
		for name, f := range list {
			sum += len(f.Outputs)
			if !f.Recorded {
				if string(f.Outputs) != string(before[name].Outputs) {
					t.Fatalf("step %s was changed and does not say so", name)
				}
				continue
			}
			got := recorded[name]
			if len(f.Outputs) > 0 {
				if err := json.Unmarshal(f.Outputs, &got); err != nil {
					t.Fatal(err)
				}
			}
			raw, err := json.Marshal(got)
			if err != nil || string(raw) != string(before[name].Outputs) {
				t.Fatalf("step %s lost something: %d bytes of %d, %v", name, len(raw), len(before[name].Outputs), err)
			}
		}
		if size != sum || size > crossLimit+secrets {
			t.Fatalf("%d bytes cross, said to be %d, of them at most %d secret", sum, size, secrets)
		}
		if size <= crossLimit && slices.ContainsFunc(slices.Collect(maps.Values(list)), func(f finished) bool { return f.Recorded }) {
			total := 0
			for _, f := range before {
				total += len(f.Outputs)
			}
			if total <= crossLimit {
				t.Fatal("what was small enough was made smaller")
			}
		}
	})
}
