package revealcheck

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

func TestAnalyzer(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), Analyzer,
		module+"state", module+"secret/github", module+"apply", "example.com/other")
}

func TestPlacesHaveReasons(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range places {
		if p.why == "" || seen[p.pkg+" "+p.name] {
			t.Errorf("%+v has no reason, or is there twice", p)
		}
		seen[p.pkg+" "+p.name] = true
	}
}
