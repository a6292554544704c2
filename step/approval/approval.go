// Package approval is the step that waits for a person: on the terminal, by
// `wfctl runs approve`, or on the page.
package approval

import (
	"context"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step"
)

const schema = `{
  "type": "object", "additionalProperties": false,
  "properties": {"message": {"type": "string", "description": "What the person is asked."}}
}`

type options struct {
	Message string `json:"message"`
}

// Kind is the step kind.
func Kind() step.Kind {
	return step.Define("wait for a person's approval", schema, func(o options) (step.Step, error) {
		return step.Func(func(ctx context.Context, c *step.Context) (step.Result, error) {
			if o.Message == "" {
				o.Message = "Go on with " + c.Pipeline + "?"
			}
			answer, err := c.Ask(ctx, c.Mask(o.Message))
			if err != nil {
				return step.Result{}, err
			}
			if !answer.Approved {
				err := fault.New(fault.Refused, "%s was refused by %s", c.Name, answer.By)
				if answer.Comment != "" {
					err = err.WithDetail(answer.Comment)
				}
				return step.Result{}, err
			}
			return step.Result{Outputs: map[string]any{"by": answer.By, "via": answer.Via, "comment": answer.Comment}}, nil
		}), nil
	})
}
