package ui

import (
	"encoding/json"
	"io"
	"slices"

	"github.com/itchyny/gojq"

	"github.com/gocodealone/wfctl/fault"
)

// outputsJQ runs a jq expression over the JSON document of the outputs. What
// is masked there is masked in it. Where sensitive values were asked for, the
// results may hold them, and pass the mask as a whole.
func outputsJQ(w io.Writer, outputs []Output, o OutputOptions) error {
	query, err := gojq.Parse(o.JQ)
	if err != nil {
		return fault.Wrap(fault.Usage, err, "--jq").WithHint("it is a jq expression over {\"MODULE\": {\"FIELD\": …}}, such as '.web.url'")
	}
	code, err := gojq.Compile(query)
	if err != nil {
		return fault.Wrap(fault.Usage, err, "--jq")
	}
	doc := map[string]any{}
	for _, out := range outputs {
		fields, ok := doc[out.Module].(map[string]any)
		if !ok {
			fields = map[string]any{}
			doc[out.Module] = fields
		}
		var value any
		if json.Unmarshal(shownJSON(out, o), &value) == nil {
			fields[out.Field] = value
		}
	}
	asked := Output{Sensitive: slices.ContainsFunc(outputs, func(out Output) bool { return out.Sensitive })}
	results := code.Run(doc)
	for result, ok := results.Next(); ok; result, ok = results.Next() {
		if err, failed := result.(error); failed {
			return fault.Wrap(fault.Usage, err, "--jq %s", o.JQ)
		}
		line, isText := result.(string)
		if !isText {
			raw, err := gojq.Marshal(result)
			if err != nil {
				return fault.Wrap(fault.Internal, err, "--jq %s", o.JQ)
			}
			line = string(raw)
		}
		if err := emit(w, asked, o, line+"\n"); err != nil {
			return err
		}
	}
	return nil
}
