// Package jq is the step that reshapes JSON with a jq expression. The
// expression is compiled when the pipeline is read, once.
package jq

import (
	"context"
	"fmt"

	"github.com/itchyny/gojq"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step"
)

const schema = `{
  "type": "object", "additionalProperties": false, "required": ["query"],
  "properties": {
    "query": {"type": "string", "description": "The jq expression; $name refers to vars."},
    "input": {"description": "The value that it reads; null by default."},
    "vars": {"type": "object", "description": "Variables of the expression: $name."},
    "all": {"type": "boolean", "default": false, "description": "Take all results, as a list, and not the first one alone."},
    "output": {"type": "string", "default": "result", "description": "What to call the result among the step's outputs."}
  }
}`

type options struct {
	Query  string         `json:"query"`
	Input  any            `json:"input"`
	Vars   map[string]any `json:"vars"`
	All    bool           `json:"all"`
	Output string         `json:"output"`
}

// Kind is the step kind.
func Kind() step.Kind {
	return step.Define("reshape JSON with a jq expression", schema, func(o options) (step.Step, error) {
		q, err := Compile(o.Query, keys(o.Vars)...)
		if err != nil {
			return nil, err
		}
		if o.Output == "" {
			o.Output = "result"
		}
		values := make([]any, len(q.vars))
		for i, name := range q.vars {
			values[i] = o.Vars[name]
		}
		return step.Func(func(ctx context.Context, _ *step.Context) (step.Result, error) {
			var v any
			var err error
			if o.All {
				v, err = q.all(ctx, o.Input, values)
			} else {
				v, err = q.Run(ctx, o.Input, values...)
			}
			return step.Result{Outputs: map[string]any{o.Output: v}}, err
		}), nil
	}).AsPure()
}

func keys(m map[string]any) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}

// Query is a compiled expression. It is safe for concurrent use.
type Query struct {
	text string
	vars []string
	code *gojq.Code
}

// Compile compiles an expression that may use the variables named.
func Compile(text string, vars ...string) (*Query, error) {
	parsed, err := gojq.Parse(text)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "the jq expression %q cannot be read", text)
	}
	dollars := make([]string, len(vars))
	for i, name := range vars {
		dollars[i] = "$" + name
	}
	code, err := gojq.Compile(parsed, gojq.WithVariables(dollars))
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "the jq expression %q cannot be compiled", text)
	}
	return &Query{text, vars, code}, nil
}

// Run returns the first result for an input; nil where there is none. values
// are those of the variables, in their order.
func (q *Query) Run(ctx context.Context, input any, values ...any) (any, error) {
	iter := q.code.RunWithContext(ctx, input, values...)
	v, ok := iter.Next()
	if !ok {
		return nil, nil
	}
	return v, q.check(v)
}

func (q *Query) all(ctx context.Context, input any, values []any) (any, error) {
	list := []any{}
	iter := q.code.RunWithContext(ctx, input, values...)
	for {
		v, ok := iter.Next()
		if !ok {
			return list, nil
		}
		if err := q.check(v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

func (q *Query) check(v any) error {
	if err, bad := v.(error); bad {
		return step.Permanent(fault.New(fault.Config, "the jq expression %q: %s", q.text, fmt.Sprint(err)))
	}
	return nil
}
