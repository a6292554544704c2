// Package verify is the step deploy_verify: it asks services until they work.
// The work is package verify's of the same name.
package verify

import (
	"context"
	"encoding/json"

	"github.com/gocodealone/wfctl/step"
	"github.com/gocodealone/wfctl/verify"
)

// Kind is the step kind. It takes the options of a gate.
func Kind() step.Kind {
	return step.Kind{Description: "ask services until they work", Schema: []byte(verify.Schema), Prepare: prepare}.AsPure()
}

func prepare(raw json.RawMessage) (step.Step, error) {
	var c verify.Config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, step.Permanent(err)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	return step.Func(func(ctx context.Context, s *step.Context) (step.Result, error) {
		report, err := verify.Run(ctx, c, verify.Options{Secrets: s.Secrets, Dir: s.Dir, Progress: func(a verify.Attempt) {
			s.Progress(a.String())
		}})
		if err != nil {
			return step.Result{}, err
		}
		targets := map[string]any{}
		for _, t := range report.Targets {
			targets[t.Name] = map[string]any{"outcome": string(t.Outcome), "attempts": t.Attempts}
			for _, sample := range t.Samples {
				for _, line := range sample.Lines() {
					s.Log(line)
				}
			}
		}
		// A gate has tried for its whole time.
		return step.Result{Outputs: map[string]any{"passed": report.Passed(), "targets": targets}}, step.Permanent(report.Err())
	}), nil
}
