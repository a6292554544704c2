// Package publish is the step that adds an event of the user's own to the
// run: who follows the run sees it.
package publish

import (
	"context"
	"encoding/json"

	"github.com/gocodealone/wfctl/step"
)

const schema = `{
  "type": "object", "additionalProperties": false, "required": ["topic"],
  "properties": {
    "topic": {"type": "string", "minLength": 1, "description": "What the event is about: released."},
    "data": {"description": "Anything; sensitive values in it are masked."}
  }
}`

type options struct {
	Topic string          `json:"topic"`
	Data  json.RawMessage `json:"data"`
}

// Kind is the step kind.
func Kind() step.Kind {
	return step.Define("publish an event", schema, func(o options) (step.Step, error) {
		return step.Func(func(_ context.Context, c *step.Context) (step.Result, error) {
			if len(o.Data) > 0 {
				o.Data = json.RawMessage(c.Mask(string(o.Data)))
			}
			c.Publish(o.Topic, o.Data)
			return step.Result{}, nil
		}), nil
	})
}
