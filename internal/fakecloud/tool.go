package fakecloud

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/gocodealone/wfctl/sdk"
)

// Tool works on a cloud in the folder "cloud", as a person at its console
// would; scripts run it as a command.
//
//	things                          what is there, a line each
//	add TYPE NAME [KEY=VALUE…]      makes something; owner=PROJECT/ENV/MODULE tags it
//	set NAME KEY=VALUE…             changes it
//	rm NAME                         removes it
//	fail OP NAME CODE [TIMES]       has requests fail; - stands for any; CODE@FIELD is about a field
//	mend                            takes the faults away
//	requests OP                     the requests of a kind, a line each
func Tool(out io.Writer, args []string) error {
	c := &Cloud{Dir: "cloud"}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	if len(args) == 0 {
		return fmt.Errorf("cloud: what?")
	}
	rest := args[1:]
	switch {
	case args[0] == "things":
		for _, t := range c.Things() {
			if err := t.print(out); err != nil {
				return err
			}
		}
		return nil
	case args[0] == "add" && len(rest) >= 2:
		t := Thing{Type: rest[0], Name: rest[1]}
		if err := t.set(rest[2:]); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out, c.Put(t))
		return err
	case args[0] == "set" && len(rest) >= 2:
		var failed error
		return firstOf(c.Change(rest[0], func(t *Thing) { failed = t.set(rest[1:]) }), failed)
	case args[0] == "rm" && len(rest) == 1:
		return c.Remove(rest[0])
	case args[0] == "fail" && len(rest) >= 3:
		return c.fail(rest)
	case args[0] == "mend":
		return c.Mend()
	case args[0] == "requests" && len(rest) == 1:
		return c.printRequests(out, rest[0])
	}
	return fmt.Errorf("cloud: cannot %v", args)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Cloud) fail(args []string) error {
	code, field, _ := strings.Cut(args[2], "@")
	f := Fault{Op: strings.Trim(args[0], "-"), Name: strings.Trim(args[1], "-"), Code: sdk.Code(code)}
	if field != "" {
		f.Path = sdk.Path("").Child(field)
	}
	if strings.HasPrefix(args[1], "-") && args[1] != "-" {
		f.Name = args[1]
	}
	if len(args) == 4 {
		n, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		f.Times = n
	}
	return c.Fail(f)
}

func (t Thing) print(out io.Writer) error {
	owner := "nobody"
	if t.Owner != nil {
		owner = t.Owner.Project + "/" + t.Owner.Environment + "/" + t.Owner.Module
	}
	raw, err := json.Marshal(t.Config)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s %s %s %s %s\n", t.Type, t.Name, t.ID, owner, raw)
	return err
}

// set changes members of the configuration, which are JSON or text; owner and
// sick are the thing's own.
func (t *Thing) set(pairs []string) error {
	raw, err := json.Marshal(t.Config)
	if err != nil {
		return err
	}
	doc := map[string]any{}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("cloud: %q is no KEY=VALUE", pair)
		}
		switch key {
		case "owner":
			part := strings.Split(value, "/")
			t.Owner = &sdk.Ownership{Project: part[0], Environment: part[1], Module: part[2]}
		case "sick":
			t.Sick = value
		case "name":
			t.Name = value
		default:
			doc[key] = value
			var v any
			if json.Unmarshal([]byte(value), &v) == nil {
				doc[key] = v
			}
		}
	}
	if raw, err = json.Marshal(doc); err != nil {
		return err
	}
	t.Config = config{}
	return json.Unmarshal(raw, &t.Config)
}

func (c *Cloud) printRequests(out io.Writer, op string) error {
	raw, err := os.ReadFile(c.Dir + "/" + requestsFile)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		if op == "-" || strings.Contains(line, `"op":"`+op+`"`) {
			if _, err := io.WriteString(out, line); err != nil {
				return err
			}
		}
	}
	return nil
}
