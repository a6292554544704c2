package registry

import (
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
)

// sources are the expressions that can name a user, and the variables that a
// runner of GitHub Actions has them in.
var sources = map[string]string{
	"github.actor":            "GITHUB_ACTOR",
	"github.triggering_actor": "GITHUB_TRIGGERING_ACTOR",
	"github.repository_owner": "GITHUB_REPOSITORY_OWNER",
}

func sourceVariable(s Spec) (string, error) {
	if s.UsernameSource == "" {
		return "", nil
	}
	text := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s.UsernameSource), "${{"), "}}"))
	if variable, ok := sources[text]; ok {
		return variable, nil
	}
	return "", fault.New(fault.Config, "registry %q: %q names no user", s.Name, s.UsernameSource).
		At(s.Pos).WithHint("username_source is github.actor, github.triggering_actor or github.repository_owner; any other user is in the variable that username_env names")
}

// EnvironmentCredential takes the user and the password from the variables
// that an entry names. It is ErrNone where the entry names none.
func EnvironmentCredential(s Spec, h Host) (Credential, error) {
	if s.PasswordEnv == "" {
		return Credential{}, ErrNone
	}
	variable, err := sourceVariable(s)
	if err != nil {
		return Credential{}, err
	}
	if variable == "" {
		variable = s.UsernameEnv
	}
	user, noUser := read(s, h, variable)
	password, noPassword := read(s, h, s.PasswordEnv)
	switch {
	case noUser != nil && noPassword != nil && s.UsernameSource == "":
		return Credential{}, fault.New(fault.Environment, "registry %q needs the variables %s and %s, which are not set", s.Name, variable, s.PasswordEnv).
			At(s.Pos).WithHint("set them; wfctl.yaml names them under `auth` of the registry")
	case noPassword != nil:
		return Credential{}, noPassword
	case noUser != nil:
		return Credential{}, noUser
	}
	if h.Learn != nil {
		h.Learn(password)
	}
	return Credential{Username: user, Password: sdk.NewSensitive(password), Source: "the variable " + s.PasswordEnv}, nil
}

func read(s Spec, h Host, variable string) (string, error) {
	value, ok := h.Getenv(variable)
	value = strings.TrimSpace(value)
	switch {
	case ok && value != "":
		return value, nil
	case s.UsernameSource != "" && variable != s.PasswordEnv:
		return "", fault.New(fault.Environment, "registry %q takes its user from %s, and %s is not set", s.Name, s.UsernameSource, variable).
			At(s.Pos).WithHint("in GitHub Actions it is; elsewhere set %s to the name of the user", variable)
	}
	return "", fault.New(fault.Environment, "registry %q needs the variable %s, which is not set", s.Name, variable).
		At(s.Pos).WithHint("set %s; wfctl.yaml names it under `auth` of the registry", variable)
}
