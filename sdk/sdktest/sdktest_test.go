package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

func suiteOf(fault string) Suite {
	return Suite{
		Name: "model", Timeout: 30 * time.Second,
		New: func(context.Context) (sdk.Provider, error) { return newModel(fault), nil },
		Resources: []Resource{{
			Type: "model.thing", Config: json.RawMessage(`{"text":"hello there","secret":"open sesame","size":2}`),
			Update: json.RawMessage(`{"text":"goodbye","secret":"open sesame","size":2}`),
		}},
	}
}

func TestModelKeepsToTheContract(t *testing.T) { Run(t, suiteOf("")) }

// A fixture is made of the schema where there is none.
func TestFixtureFromSchema(t *testing.T) {
	s := suiteOf("")
	s.Resources = nil
	schema, err := newModel("").Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.fixtures(schema)
	if err != nil || len(list) != 1 || string(list[0].Config) != `{"secret":"open sesame","size":1,"text":"hello there"}` {
		t.Errorf("%v %v", list, err)
	}
	Run(t, s)
}

// Each mistake is found, by the check that is about it.
func TestMistakesAreFound(t *testing.T) {
	for fault, check := range map[string]string{
		"unsorted types":                       "schema",
		"no schema of the configuration":       "schema",
		"an odd output type":                   "schema",
		"a schema that changes":                "schema",
		"an identifier of another format":      "lifecycle",
		"another identifier than was assigned": "lifecycle",
		"another identifier after update":      "lifecycle",
		"reads back something else":            "lifecycle",
		"fails to delete what is gone":         "lifecycle",
		"lists nothing":                        "lifecycle",
		"answers with nothing":                 "lifecycle",
		"panics at nil":                        "requests that are not whole",
		"lenient":                              "unknown field",
		"trips over unknown values":            "value not known yet",
		"fails at large configurations":        "configuration of 8 MiB",
		"always differs":                       "no change, no difference",
		"shows a secret in a note":             "secrets stay secret",
		"logs a secret":                        "secrets stay secret",
		"an output that is not sensitive":      "outputs fit the schema",
		"an output that is missing":            "outputs fit the schema",
		"an output of another type":            "outputs fit the schema",
		"an output that is not declared":       "outputs fit the schema",
		"deaf to cancellation":                 "cancellation within 1 s",
		"calls a cancellation internal":        "cancellation within 1 s",
		"makes it twice":                       "same key, same resource",
		"takes the old one for the new":        "the old one is not the new",
		"the same identifier for all":          "at the same time",
		"has its own not found":                "not found",
		"ignores exceptions":                   "found by name",
		"needs an identifier":                  "found by name",
		"does not delete":                      "gone after delete",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := suiteOf(fault)
			s.Resources[0].Skip = map[string]string{}
			for _, slow := range []string{"configuration of 8 MiB", "cancellation within 1 s", "deadline"} {
				if slow != check {
					s.Resources[0].Skip[slow] = "it is slow"
				}
			}
			report, err := Check(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			failed := report.Failed()
			if !slices.ContainsFunc(failed, func(r Result) bool { return r.Check == check }) {
				t.Errorf("%q does not find it; failed are %v", check, failed)
			}
		})
	}
}

func TestSkips(t *testing.T) {
	s := suiteOf("always differs")
	s.Resources[0].Skip = map[string]string{"no change, no difference": "it cannot know"}
	report, err := Check(t.Context(), s)
	if err != nil || len(report.Failed()) != 0 {
		t.Errorf("%v %v", err, report.Failed())
	}
}

func TestSuiteThatCannotRun(t *testing.T) {
	s := suiteOf("")
	s.Resources[0].Type = "model.other"
	if _, err := Check(t.Context(), s); err == nil || !strings.Contains(err.Error(), `"model.other" is of no type`) {
		t.Errorf("%v", err)
	}
	s = suiteOf("")
	s.New = func(context.Context) (sdk.Provider, error) { return nil, errors.New("no") }
	if _, err := Check(t.Context(), s); err == nil {
		t.Error("a provider that cannot be made was tried")
	}
}

func TestReport(t *testing.T) {
	report, err := Check(t.Context(), suiteOf("panics at nil").Over("by pigeon", func(_ context.Context, p sdk.Provider) (sdk.Provider, error) { return p, nil }))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := report.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"conformance of model, by pigeon", "method     nil      empty    partial    populated", "Create     invalid  invalid  invalid    ok",
		"Validate   FAIL", "FAIL: requests that are not whole model.thing",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}
