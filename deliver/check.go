package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/gocodealone/wfctl/fault"
)

// Check finds what is wrong with a place. What options a plugin's sink takes,
// only the plugin knows.
func (s *Sinks) Check(ctx context.Context, p Place) error {
	k, err := s.Kinds.Get(p.Sink)
	if err != nil {
		_, err := s.open(ctx, p.Sink)
		return err
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(k.Schema))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the schema of the sink %s", p.Sink)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("sink:"+p.Sink, schema); err != nil {
		return fault.Wrap(fault.Internal, err, "the schema of the sink %s", p.Sink)
	}
	compiled, err := c.Compile("sink:" + p.Sink)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the schema of the sink %s", p.Sink)
	}
	options, err := jsonschema.UnmarshalJSON(bytes.NewReader(p.Target().Options))
	if err != nil {
		return fault.New(fault.Config, "the options of %s are no object", p)
	}
	var bad *jsonschema.ValidationError
	if errors.As(compiled.Validate(options), &bad) {
		return fault.New(fault.Config, "the sink %s: %s", p.Sink, strings.Join(reasons(bad), "; ")).WithHint("docs/secrets.md lists the keys of each sink")
	}
	return nil
}

// reasons are the leaves of what is wrong.
func reasons(e *jsonschema.ValidationError) []string {
	if len(e.Causes) == 0 {
		text := e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
		if len(e.InstanceLocation) > 0 {
			text = fmt.Sprintf("%s: %s", strings.Join(e.InstanceLocation, "."), text)
		}
		return []string{text}
	}
	var all []string
	for _, c := range e.Causes {
		all = append(all, reasons(c)...)
	}
	return all
}
