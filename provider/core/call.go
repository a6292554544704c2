package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

// call is what the commands of one operation have in common.
type call struct {
	dir           string
	env           []string
	secrets       *secret.Redactor
	grace, linger time.Duration
	cc            *commandConfig
	// missing names the secrets that are recorded as fingerprints and not
	// at hand.
	missing []string
}

// inherited lists the variables that a command gets from wfctl: what a
// program needs to find its way on the machine, and nothing else.
func inherited() []string {
	if runtime.GOOS == "windows" {
		return []string{
			"PATH", "PATHEXT", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "TEMP", "TMP", "USERPROFILE", "HOMEDRIVE",
			"HOMEPATH", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "USERNAME", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE",
		}
	}
	return []string{"PATH", "HOME", "TMPDIR", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "SHELL", "TERM"}
}

func (c *command) call(cc *commandConfig, name, key string, prior sdk.Outputs) *call {
	k := &call{dir: cc.Dir, cc: cc, grace: c.grace, linger: c.linger}
	if !filepath.IsAbs(k.dir) {
		k.dir = filepath.Join(c.baseDir, k.dir)
	}
	vars := map[string]string{"WFCTL_ID": name, "WFCTL_NAME": name, "WFCTL_IDEMPOTENCY_KEY": key}
	for _, v := range inherited() {
		if value, ok := os.LookupEnv(v); ok {
			vars[v] = value
		}
	}
	var secrets []string
	for output, value := range prior {
		vars["WFCTL_OUTPUT_"+variableName(output)] = text(value)
		if value.Sensitive() {
			secrets = append(secrets, text(value))
		}
	}
	secrets = append(secrets, k.take(vars, "/env", cc.Env)...)
	secrets = append(secrets, k.take(vars, "/sensitive_env", cc.SensitiveEnv)...)
	slices.Sort(k.missing)
	for _, v := range slices.Sorted(maps.Keys(vars)) {
		k.env = append(k.env, v+"="+vars[v])
	}
	k.secrets = redactorOf(secrets)
	return k
}

// take adds the variables of one field and returns those that are secret. A
// secret that state holds only as a fingerprint may be in wfctl's own
// environment.
func (k *call) take(vars map[string]string, field sdk.Path, from map[string]variable) (secrets []string) {
	for name, value := range from {
		secret := field == "/sensitive_env" || k.cc.source.IsSensitive(field.Child(name))
		if !value.present && secret {
			value.text, value.present = os.LookupEnv(name)
		}
		switch {
		case !value.present:
			k.missing = append(k.missing, name)
			continue
		case secret:
			secrets = append(secrets, value.text)
		}
		vars[name] = value.text
	}
	return secrets
}

// variableName is the name of an output as one of a variable.
func variableName(output string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, output)
}

// result is what a command left.
type result struct {
	exit int
	// outputs is what it printed; nil where it printed no object.
	outputs map[string]rawValue
	// finished tells that the command itself succeeded.
	finished bool
}

// run runs a command that must succeed.
func (k *call) run(ctx context.Context, what string, argv []string, report sdk.Reporter) (result, error) {
	r, tail, err := k.exec(ctx, argv, report.Log)
	switch {
	case err != nil:
		return r, k.failed(ctx, what, argv, err)
	case r.exit != 0:
		return r, k.exited(what, r.exit, tail)
	}
	r.finished = true
	return r, nil
}

// read runs the read command and tells whether the thing is there.
func (k *call) read(ctx context.Context) (result, bool, error) {
	r, tail, err := k.exec(ctx, k.cc.Read, func(string) {})
	switch {
	case err != nil:
		return r, false, k.failed(ctx, "read", k.cc.Read, err)
	case r.exit == 0:
		return r, true, nil
	case r.exit == 1:
		return r, false, nil
	}
	return r, false, k.exited("read", r.exit, tail)
}

// outputsAfter asks the read command for the outputs where the command before
// it printed none.
func (k *call) outputsAfter(ctx context.Context, r result) (result, error) {
	if r.outputs != nil || len(k.cc.Read) == 0 {
		return r, nil
	}
	read, there, err := k.read(ctx)
	if err != nil {
		return r, err
	}
	if !there {
		return r, sdk.Errorf(sdk.CodeInternal, "the command succeeded, and the read command says that the thing does not exist").
			WithHint("read exits 0 once create or update has succeeded")
	}
	return read, nil
}

// exited describes a command that ended by itself and failed.
func (k *call) exited(what string, status int, tail []string) error {
	message := fmt.Sprintf("the %s command exited with status %d", what, status)
	if len(tail) > 0 {
		message += ":\n  " + strings.Join(tail, "\n  ")
	}
	return &sdk.Error{Code: sdk.CodeInternal, Message: message, Path: sdk.Path("").Child(what)}
}

// failed describes a command that could not be run to its end.
func (k *call) failed(ctx context.Context, what string, argv []string, err error) error {
	e := &sdk.Error{Code: sdk.CodeInternal, Message: "the " + what + " command", Path: sdk.Path("").Child(what), Err: err}
	switch {
	case ctx.Err() != nil:
		e.Code = sdk.CodeOf(ctx.Err())
		e.Message = "the " + what + " command was stopped"
		e.Err = ctx.Err()
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		e.Code = sdk.CodeInvalid
		e.Message = fmt.Sprintf("the %s command cannot be started", what)
		e.Hint = fmt.Sprintf("is %q installed, and is the folder %s there?", argv[0], k.dir)
	case errors.Is(err, os.ErrPermission):
		e.Code = sdk.CodeInvalid
		e.Message = fmt.Sprintf("the %s command cannot be started", what)
		e.Hint = fmt.Sprintf("%q must be executable", argv[0])
	}
	return e
}
