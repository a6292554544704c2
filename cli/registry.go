package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/registry"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) registryCommand() *cobra.Command {
	return group("registry", "Container registries of the manifest: list, login, logout", a.registryList(), a.registryLogin(), a.registryLogout())
}

// listedRegistry is a registry as `registry list` shows it.
type listedRegistry struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Host      string `json:"host,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Provider  string `json:"provider,omitempty"`
	Optional  bool   `json:"optional"`
	// Credential says where the credential comes from, Missing what it lacks.
	Credential string `json:"credential"`
	Missing    string `json:"missing,omitempty"`
}

func (a *App) registryList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The registries, and whether their credentials are there", Args: cobra.NoArgs,
		Long: `List the registries of wfctl.yaml and where each takes its credential from: the
variables that it names, the provider that lends it, or Docker's configuration.
No registry is asked, and no credential is shown.

Exit status: 0 done; 1 failed; 2 wrong usage.`,
		Example: "  wfctl registry list\n  wfctl registry list --json",
		RunE: func(*cobra.Command, []string) error {
			set, err := engine.Registries(a.Kinds, a.engineOptions())
			if err != nil {
				return err
			}
			list := []listedRegistry{}
			for _, s := range set.Specs() {
				list = append(list, listRegistry(set, s))
			}
			return a.showRegistries(list)
		},
	}
}

func listRegistry(set *registry.Set, s registry.Spec) listedRegistry {
	l := listedRegistry{Name: s.Name, Type: s.Type, Host: s.Host, Namespace: s.Namespace, Provider: s.Provider, Optional: s.Optional}
	e, err := set.Get(s.Name)
	if err == nil {
		err = e.Ready()
	}
	switch {
	case err != nil:
		l.Missing = err.Error()
		var f *fault.Error
		if asFault(err, &f) {
			l.Missing = f.Message
		}
	case s.Provider != "":
		l.Credential = "provider " + s.Provider
	case s.PasswordEnv != "":
		l.Credential = "variable " + s.PasswordEnv
	case s.Type == "github":
		l.Credential = "variable GITHUB_TOKEN"
	default:
		l.Credential = "Docker's configuration"
	}
	return l
}

func (a *App) showRegistries(list []listedRegistry) error {
	if a.flags.json {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.say("No registries: wfctl.yaml declares none.")
		return nil
	}
	rows := [][]string{{"NAME", "TYPE", "IMAGES", "CREDENTIAL"}}
	for _, l := range list {
		credential := l.Credential
		if l.Missing != "" {
			credential = "missing: " + l.Missing
		}
		name := l.Name
		if l.Optional {
			name += " (optional)"
		}
		rows = append(rows, []string{name, l.Type, registry.Join(l.Host, l.Namespace), credential})
	}
	return ui.Table(a.Stdout, rows)
}

type loginOptions struct {
	username string
	stdin    bool
	lifetime time.Duration
}

func (a *App) registryLogin() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use: "login NAME", Short: "Store a registry's credential where Docker finds it", Args: cobra.ExactArgs(1),
		Long: `Store the credential of a registry of wfctl.yaml in Docker's configuration, or in
the credential helper that it names, for docker and other tools to use. wfctl
itself does not need it: it takes the credential from where wfctl.yaml says with
each push, and writes it nowhere. The registry is asked first: nothing is stored
that it refuses.

A registry of a cloud lends a credential that ends, after 12 hours unless
--lifetime says otherwise. One without auth in wfctl.yaml takes --username, and
the password from standard input.

Exit status: 0 done; 1 failed; 2 wrong usage.`,
		Example: "  wfctl registry login ghcr\n  wfctl registry login docr --env staging --lifetime 1h\n  wfctl registry login private --username ada --password-stdin",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.login(cmd.Context(), args[0], o) },
	}
	cmd.Flags().StringVar(&o.username, "username", "", "log in as `USER`, with the password from standard input")
	cmd.Flags().BoolVar(&o.stdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().DurationVar(&o.lifetime, "lifetime", 12*time.Hour, "how long a lent credential is asked for")
	return cmd
}

func (a *App) login(ctx context.Context, name string, o loginOptions) error {
	if (o.username == "") == o.stdin {
		return fault.New(fault.Usage, "--username and --password-stdin belong together").WithHint("printf %%s \"$PASSWORD\" | wfctl registry login %s --username USER --password-stdin", name)
	}
	return a.withRegistry(ctx, name, func(e *registry.Entry) error {
		c, err := a.credentialFor(ctx, e, o)
		if err != nil {
			return err
		}
		host := e.Spec.Host
		if host == "" && e.Spec.Provider != "" { // only the provider knows it
			repository, err := e.Repository(ctx)
			if err != nil {
				return err
			}
			host, _, _ = strings.Cut(repository, "/")
		}
		if e.Spec.Provider == "" { // what a provider has just lent is good
			if err := a.tryCredential(ctx, host, c); err != nil {
				return err
			}
		}
		where, err := registry.Login(host, c, a.Getenv)
		if err != nil {
			return err
		}
		until := ""
		if !c.Expires.IsZero() {
			until = ", until " + c.Expires.Format(time.RFC3339)
		}
		a.say("Stored the credential of %s for %s in %s%s.", c.Username, host, where, until)
		return nil
	})
}

// tryCredential asks the registry, where it is reached.
func (a *App) tryCredential(ctx context.Context, host string, c registry.Credential) error {
	list, _ := a.Getenv(registry.EndpointsVariable)
	transport, err := registry.Endpoints(http.DefaultTransport, list)
	if err != nil {
		return err
	}
	return registry.Try(ctx, host, c, transport)
}

func (a *App) credentialFor(ctx context.Context, e *registry.Entry, o loginOptions) (registry.Credential, error) {
	if o.stdin {
		raw, err := io.ReadAll(io.LimitReader(a.Stdin, 1<<20))
		password := strings.TrimRight(string(raw), "\r\n")
		if err != nil || password == "" {
			return registry.Credential{}, fault.New(fault.Usage, "there is no password on standard input")
		}
		return registry.Credential{Username: o.username, Password: sdk.NewSensitive(password)}, nil
	}
	c, err := e.Credential(ctx, registry.Want{Write: true, Lifetime: o.lifetime})
	if errors.Is(err, registry.ErrNone) {
		return c, fault.New(fault.Usage, "registry %q has no auth in wfctl.yaml", e.Spec.Name).
			WithHint("wfctl registry login %s --username USER --password-stdin", e.Spec.Name)
	}
	return c, err
}

func (a *App) registryLogout() *cobra.Command {
	return &cobra.Command{
		Use: "logout NAME", Short: "Remove a registry's credential from Docker's configuration", Args: cobra.ExactArgs(1),
		Long:    "Remove what login stored for the registry's host.\n\nExit status: 0 done; 1 failed; 2 wrong usage.",
		Example: "  wfctl registry logout ghcr",
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := engine.Registries(a.Kinds, a.engineOptions())
			if err != nil {
				return err
			}
			e, err := set.Get(args[0])
			if err != nil {
				return err
			}
			where, err := registry.Logout(e.Spec.Host, a.Getenv)
			if err != nil {
				return err
			}
			a.say("Removed the credential for %s from %s.", e.Spec.Host, where)
			return nil
		},
	}
}

// withRegistry opens a registry; one whose provider lends credentials needs an
// environment.
func (a *App) withRegistry(ctx context.Context, name string, do func(*registry.Entry) error) error {
	set, err := engine.Registries(a.Kinds, a.engineOptions())
	if err != nil {
		return err
	}
	e, err := set.Get(name)
	if err != nil {
		return err
	}
	if e.Spec.Provider == "" {
		return do(e)
	}
	return a.looking(ctx, func(p *engine.Project, _ *engine.Work) error {
		set, err := p.Registries()
		if err != nil {
			return err
		}
		if e, err = set.Get(name); err != nil {
			return err
		}
		return do(e)
	})
}

// credentialCommand is the helper that docker asks while it builds for wfctl:
// the build itself answers.
func (a *App) credentialCommand() *cobra.Command {
	return &cobra.Command{
		Use: "__credential ACTION", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			socket, _ := a.Getenv(build.CredentialSocket)
			if build.AnswerDocker(cmd.Context(), args[0], a.Stdin, a.commandsOut, socket) != nil {
				return exitStatus(1)
			}
			return nil
		},
	}
}
