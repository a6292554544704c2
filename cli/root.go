// Package cli is the command line: a file per command, each parsing its flags
// into options and handing them to a run function. It decides nothing about
// infrastructure (engine does) and formats nothing (ui does).
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/ui"
)

// An App is what the commands share: where they read and write, and what
// ships in the binary.
type App struct {
	Kinds  engine.Kinds
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) (string, bool)
	// Interactive tells whether a person sits at Stdin and Stderr.
	Interactive bool
	// Secrets is what must not be shown; it learns while a command runs.
	Secrets *secret.Redactor
	// Sleep waits before a platform is asked again; nil waits on the clock.
	Sleep func(context.Context, time.Duration) error
	// commandsOut takes what a CI service reads: Stdout before the mask.
	commandsOut io.Writer

	flags      globalFlags
	interrupts *interrupts
	// args are the command line, for a program that goes on in our place.
	args []string
}

// globalFlags hold for every command.
type globalFlags struct {
	config, dir, projectDir, env string
	json, noColor, verbose       bool
	parallelism                  int
}

// Main runs wfctl with the process's own streams and returns its exit status.
func Main(kinds engine.Kinds, args []string) int {
	app := &App{
		Kinds: kinds, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.LookupEnv,
		Interactive: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		Secrets:     secret.NewRedactor(),
	}
	learnEnvironment(os.Environ(), app.Secrets)
	defer app.Secrets.Wipe()
	return app.Run(context.Background(), args)
}

// Run runs one command line and returns the exit status.
func (a *App) Run(ctx context.Context, args []string) int {
	defer a.protect()()
	ctx, a.interrupts = watchInterrupts(ctx, a.Stderr)
	defer a.interrupts.release()
	root := a.root()
	root.SetArgs(args)
	a.args = args
	err := a.checkCaller()
	if err == nil {
		err = checkSingleDash(root, args)
	}
	if err == nil {
		err = guarded(func() error { return root.ExecuteContext(ctx) })
	}
	if err != nil && a.interrupts.interrupted() && errors.Is(err, context.Canceled) && fault.CodeOf(err) != fault.Interrupted {
		err = fault.Wrap(fault.Interrupted, err, "interrupted")
	}
	if fault.CodeOf(err) == fault.Usage && asksForJSON(args) {
		a.flags.json = true // a wrong flag before it kept it from being read
	}
	return a.finish(err)
}

// asksForJSON tells whether --json is among the flags.
func asksForJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json")
}

// finish prints an error and maps it to the exit status.
func (a *App) finish(err error) int {
	if err == nil {
		return 0
	}
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	if a.flags.json {
		ui.ErrorJSON(a.Stderr, err)
	} else {
		style := a.style()
		style.Source = a.sourceLine
		ui.Error(a.Stderr, err, style)
	}
	return fault.ExitCode(err)
}

// sourceLine reads a line of a file that an error points at.
func (a *App) sourceLine(file string, line int) string {
	raw, err := os.ReadFile(a.inDir(file))
	if err != nil {
		raw, err = os.ReadFile(file)
	}
	if err != nil {
		return ""
	}
	lines := strings.SplitN(string(raw), "\n", line+1)
	if len(lines) < line {
		return ""
	}
	return lines[line-1]
}

// exitStatus is an exit without a message: what there was to say is said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// changesPending is the status of `plan --exit-code` and `drift --exit-code`.
const changesPending exitStatus = 3

func (a *App) style() ui.Style {
	_, off := a.Getenv("NO_COLOR")
	_, isTerminal := terminal(a.Stderr)
	return ui.Style{Color: !off && !a.flags.noColor && isTerminal, Mask: a.Secrets.Text}
}

func (a *App) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "wfctl",
		Short: "From one YAML file to a running, verified application, and back to nothing",
		Long: `wfctl takes an application from one YAML file to running, checked and, when
asked, gone: it provisions infrastructure, builds images, migrates databases,
deploys, verifies and delivers secrets. The same file runs on a laptop and on
a cloud.

Exit status: 0 done; 1 failed; 2 refused or wrong usage; 3 changes pending
(only with --exit-code); 130 interrupted.`,
		SilenceErrors: true, SilenceUsage: true,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.SetFlagErrorFunc(flagError)
	f := root.PersistentFlags()
	f.StringVarP(&a.flags.config, "config", "c", "", "application `FILE` (default app.yaml, else infra.yaml)")
	f.StringVarP(&a.flags.dir, "dir", "C", "", "run as if started in `DIR`")
	f.StringVar(&a.flags.projectDir, "project-dir", "", "`DIR` of wfctl.yaml and .wfctl (default: the configuration's folder)")
	f.StringVar(&a.flags.env, "env", "", "environment `NAME`")
	f.BoolVar(&a.flags.json, "json", false, "print results and events as JSON")
	f.BoolVar(&a.flags.noColor, "no-color", false, "no colours")
	f.BoolVarP(&a.flags.verbose, "verbose", "v", false, "say more on standard error")
	f.IntVar(&a.flags.parallelism, "parallelism", 10, "how many changes run at once")
	root.AddCommand(a.commands()...)
	a.harden(root)
	return root
}

// harden gives every command the usage errors that cobra lacks.
func (a *App) harden(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.HasSubCommands() && sub.RunE == nil && sub.Run == nil {
			sub.Args = noSuchCommand
			sub.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		} else if sub.Args != nil {
			sub.Args = usageArgs(sub.Args)
		}
		a.harden(sub)
	}
}

// usageArgs makes wrong arguments, and a flag that is missing, a usage fault.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil {
			err = cmd.ValidateRequiredFlags() // cobra's own check comes later and is no usage fault
		}
		var f *fault.Error
		if err == nil || errors.As(err, &f) {
			return err
		}
		return fault.New(fault.Usage, "%s: %v", cmd.CommandPath(), err).WithHint("usage: %s", cmd.UseLine())
	}
}

// noSuchCommand refuses an unknown sub-command and suggests the nearest.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fault.New(fault.Usage, "%s has no command %q", cmd.CommandPath(), args[0])
	var names []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	if s := nearest(args[0], names); s != "" {
		return err.WithHint("did you mean `%s %s`?", cmd.CommandPath(), s)
	}
	return err.WithHint("`%s --help` lists what there is", cmd.CommandPath())
}

func flagError(cmd *cobra.Command, err error) error {
	f := fault.New(fault.Usage, "%s: %v", cmd.CommandPath(), err)
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if s := nearest(unknown.GetSpecifiedName(), flagNames(cmd)); s != "" {
			return f.WithHint("did you mean --%s? usage: %s", s, cmd.UseLine())
		}
	}
	return f.WithHint("usage: %s", cmd.UseLine())
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	add := func(f *pflag.Flag) { names = append(names, f.Name) }
	cmd.Flags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return names
}

// checkSingleDash catches `-config x`, which a POSIX parser reads as `-c onfig`.
func checkSingleDash(root *cobra.Command, args []string) error {
	cmd, _, err := root.Find(args)
	if err != nil || cmd == nil {
		cmd = root
	}
	names := flagNames(cmd)
	for _, arg := range args {
		if arg == "--" {
			return nil
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if len(name) > 1 && strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && slices.Contains(names, name) {
			return fault.New(fault.Usage, "-%s is not a flag", name).WithHint("did you mean --%s?", name)
		}
	}
	return nil
}
