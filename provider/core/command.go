package core

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// command runs the user's commands.
type command struct {
	baseDir string
	// grace is how long a cancelled command may take to end by itself.
	grace time.Duration
	// linger is how long its pipes may stay open after it has ended: a
	// daemon that it started may hold them for ever.
	linger time.Duration
}

const commandSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["create"],
  "properties": {
    "create": {"$ref": "#/$defs/argv", "description": "Makes the thing. It may print its outputs as one JSON object on standard output."},
    "read": {"$ref": "#/$defs/argv", "description": "Exits 0 when the thing exists, and may print its outputs as one JSON object; exits 1 when it does not exist. With it, an interrupted create is never done twice."},
    "update": {"$ref": "#/$defs/argv", "description": "Changes the thing in place. Without it, a changed create, dir, env or sensitive_env replaces the thing."},
    "delete": {"$ref": "#/$defs/argv", "description": "Removes the thing. Without it there is nothing to do. Outputs that are recorded are in its environment as WFCTL_OUTPUT_NAME."},
    "dir": {"type": "string", "description": "The folder to run in, relative to the application file's."},
    "env": {"type": "object", "description": "Variables of the commands' environment.", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    "sensitive_env": {"type": "object", "description": "The same, for secrets: never shown or stored, given to the commands through their environment alone.", "additionalProperties": {"type": ["string", "number", "boolean"], "x-sensitive": true}},
    "sensitive_outputs": {"type": "array", "description": "Which outputs are sensitive. Without this key, all are.", "items": {"type": "string"}, "uniqueItems": true}
  },
  "$defs": {
    "argv": {"type": "array", "minItems": 1, "items": {"type": "string"}}
  }
}`

func (c *command) schema() sdk.ResourceSchema {
	return sdk.ResourceSchema{
		Name:           TypeCommand,
		Description:    "Runs commands, without a shell.",
		Config:         []byte(commandSchema),
		DynamicOutputs: true,
	}
}

// validate catches what a schema cannot say: a secret on a command line can
// be read by everybody on the machine.
func (c *command) validate(req *sdk.ValidateRequest) []sdk.Diagnostic {
	cc, err := decodeCommand(req.Config)
	if err != nil {
		return []sdk.Diagnostic{{Severity: sdk.SeverityError, Message: err.Error()}}
	}
	var found []sdk.Diagnostic
	for _, name := range []string{"create", "read", "update", "delete", "dir"} {
		path := sdk.Path("").Child(name)
		if touches(req.Config.Sensitive, path) {
			found = append(found, sdk.Diagnostic{
				Severity: sdk.SeverityError, Path: path, Message: "a sensitive value stands on a command line",
				Hint: "give it to the command through sensitive_env",
			})
		}
	}
	for name := range cc.Env {
		if _, both := cc.SensitiveEnv[name]; both {
			found = append(found, sdk.Diagnostic{
				Severity: sdk.SeverityError, Path: sdk.Path("/env").Child(name),
				Message: name + " is in env and in sensitive_env", Hint: "keep one of them",
			})
		}
	}
	return found
}

// The fields whose change means that the thing itself is to change; those of
// others say only how it is looked after.
func concernsThing(path sdk.Path) bool {
	return path == "" || slices.Contains([]string{"create", "dir", "env", "sensitive_env"}, path.Segments()[0])
}

func (c *command) diff(req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	cc, err := decodeCommand(req.Config)
	if err != nil {
		return nil, err
	}
	if req.Prior == nil {
		return &sdk.DiffResponse{Notes: cc.createNotes()}, nil
	}
	res := &sdk.DiffResponse{Changes: []sdk.FieldChange{}}
	for _, path := range req.Changed {
		res.Changes = append(res.Changes, c.change(req, cc, path))
	}
	if slices.ContainsFunc(res.Changes, func(f sdk.FieldChange) bool { return f.Action == sdk.ActionReplace }) {
		res.Notes = cc.createNotes()
	}
	return res, nil
}

func (c *command) change(req *sdk.DiffRequest, cc *commandConfig, path sdk.Path) sdk.FieldChange {
	f := sdk.FieldChange{Path: path, Action: sdk.ActionIgnore, Unknown: touches(req.Config.Unknown, path)}
	f.Sensitive = touches(req.Config.Sensitive, path) || path.HasPrefix("/sensitive_env")
	switch {
	case concernsThing(path) && len(cc.Update) == 0:
		f.Action, f.Reason = sdk.ActionReplace, "it has no update command"
	case concernsThing(path), path.HasPrefix("/sensitive_outputs"):
		f.Action = sdk.ActionUpdate
	}
	if !f.Sensitive {
		f.Before = lookup(req.Prior.Config, path)
		if !f.Unknown {
			f.After = lookup(req.Config, path)
		}
	}
	return f
}

// lookup returns the value at a path, nil where there is none or where it is
// a secret.
func lookup(c sdk.Config, path sdk.Path) json.RawMessage {
	if touches(c.Sensitive, path) || touches(c.Opaque, path) {
		return nil
	}
	raw := json.RawMessage(c.Bytes())
	for _, segment := range path.Segments() {
		var object map[string]json.RawMessage
		var list []json.RawMessage
		switch {
		case json.Unmarshal(raw, &object) == nil:
			raw = object[segment]
		case json.Unmarshal(raw, &list) == nil:
			i := indexOf(segment)
			if i < 0 || i >= len(list) {
				return nil
			}
			raw = list[i]
		default:
			return nil
		}
	}
	return raw
}

func indexOf(s string) int {
	var i int
	if json.Unmarshal([]byte(s), &i) != nil {
		return -1
	}
	return i
}

// create runs the command, unless `read` finds that the thing is there: an
// earlier call that nobody heard the end of has made it.
func (c *command) create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	cc, err := decodeCommand(req.Config)
	if err != nil {
		return nil, err
	}
	if len(cc.Create) == 0 {
		return nil, &sdk.Error{Code: sdk.CodeInvalid, Message: "core.command needs a create command", Path: "/create"}
	}
	call := c.call(cc, req.Name, req.IdempotencyKey, nil)
	if len(cc.Read) > 0 {
		out, there, err := call.read(ctx)
		if err != nil {
			return nil, err
		}
		if there {
			report.Warn(sdk.Diagnostic{Severity: sdk.SeverityWarning, Message: "it exists already, by its read command: adopted as it is"})
			return &sdk.CreateResponse{ID: req.Name, Outputs: cc.outputs(out)}, nil
		}
	}
	out, err := call.run(ctx, "create", cc.Create, report)
	if err != nil {
		// The command has done its work and only its outputs are unusable:
		// the host must know that there is something to remove.
		if out.finished {
			err = firstError(report.Assigned(req.Name), err)
		}
		return nil, err
	}
	out, err = call.outputsAfter(ctx, out)
	return &sdk.CreateResponse{ID: req.Name, Outputs: cc.outputs(out)}, err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// read runs the read command. Without one, what is recorded counts as there,
// and what is not recorded as absent: an interrupted create runs again. The
// same holds where the command says "absent" and ran without its secrets, for
// then it may not have been let in: create asks again before it does anything.
func (c *command) read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	cc, err := readConfig(req)
	if err != nil {
		return nil, err
	}
	res := &sdk.ReadResponse{ID: req.Name, Name: req.Name, Healthy: true}
	recorded := req.ID != ""
	if recorded {
		res.ID = req.ID
	}
	if req.Prior != nil {
		recorded = recorded || req.Prior.ID != ""
		res.Outputs = req.Prior.Outputs
	}
	var out result
	there, sure := recorded, false
	call := c.call(cc, req.Name, req.IdempotencyKey, res.Outputs)
	if len(cc.Read) > 0 {
		if out, there, err = call.read(ctx); err != nil {
			return nil, err
		}
		sure = there || len(call.missing) == 0
	}
	switch {
	case there && out.outputs != nil:
		res.Outputs = cc.outputs(out)
	case !there && (sure || !recorded):
		return nil, sdk.Errorf(sdk.CodeNotFound, "core.command %q does not exist, by its read command", req.Name)
	}
	return res, nil
}

// readConfig prefers what is desired now, where all of it is at hand.
func readConfig(req *sdk.ReadRequest) (*commandConfig, error) {
	if len(req.Config.JSON) > 0 && (len(req.Config.Unknown) == 0 || req.Prior == nil) {
		return decodeCommand(req.Config)
	}
	if req.Prior != nil && len(req.Prior.Config.JSON) > 0 {
		return decodeCommand(req.Prior.Config)
	}
	return nil, sdk.Errorf(sdk.CodeInvalid, "core.command %q cannot be read without its configuration", req.Name)
}

func (c *command) update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	cc, err := decodeCommand(req.Config)
	if err != nil {
		return nil, err
	}
	var prior sdk.Outputs
	if req.Prior != nil {
		prior = req.Prior.Outputs
	}
	call := c.call(cc, req.Name, req.IdempotencyKey, prior)
	var out result
	if len(cc.Update) > 0 && (len(req.Changes) == 0 || slices.ContainsFunc(req.Changes, func(f sdk.FieldChange) bool { return concernsThing(f.Path) })) {
		if out, err = call.run(ctx, "update", cc.Update, report); err != nil {
			return nil, err
		}
	}
	if out, err = call.outputsAfter(ctx, out); err != nil {
		return nil, err
	}
	outputs := cc.outputs(out)
	if out.outputs == nil {
		outputs = prior
	}
	return &sdk.UpdateResponse{ID: req.ID, Outputs: outputs}, nil
}

func (c *command) remove(ctx context.Context, req *sdk.DeleteRequest, report sdk.Reporter) error {
	if req.Prior == nil {
		return sdk.Errorf(sdk.CodeInvalid, "core.command %q cannot be deleted without its recorded configuration", req.Name)
	}
	cc, err := decodeCommand(req.Prior.Config)
	if err != nil {
		return err
	}
	if len(cc.Delete) == 0 {
		return nil
	}
	call := c.call(cc, req.Name, req.IdempotencyKey, req.Prior.Outputs)
	for _, name := range call.missing {
		report.Warn(sdk.Diagnostic{
			Severity: sdk.SeverityWarning, Message: "the delete command runs without " + name + ": secrets are not recorded",
			Hint: "set " + name + " in the environment of wfctl if the command needs it",
		})
	}
	_, err = call.run(ctx, "delete", cc.Delete, report)
	return err
}
