package cli

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// commands is the table of what there is.
func (a *App) commands() []*cobra.Command {
	return []*cobra.Command{
		a.initCommand(), a.upCommand(), a.downCommand(), a.validateCommand(), a.schemaCommand(), a.infraCommand(),
		a.migrationsCommand(), a.buildCommand(), a.registryCommand(), a.logsCommand(),
		pluginCommand(a.plugins(), a.pluginDevelopment()...), migrateCommand(a.plugins()),
		a.deployCommand(), a.ciCommand(), a.pipelineCommand(), a.workerCommand(), a.schedulesCommand(), a.runsCommand(), a.uiCommand(),
		a.doctorCommand(), a.docsCommand(), a.versionCommand(), a.superviseCommand(), a.credentialCommand(), a.componentCommand(),
	}
}

// group is a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	cmd.AddCommand(subs...)
	return cmd
}

// engineOptions are the global flags as the engine takes them.
func (a *App) engineOptions() engine.Options {
	return engine.Options{
		Config: a.flags.config, Dir: a.flags.dir, ProjectDir: a.flags.projectDir, Env: a.flags.env,
		Getenv: a.Getenv, Parallelism: a.flags.parallelism, Secrets: a.Secrets, Commands: a.commandsOut, Sleep: a.Sleep,
	}
}

// consent are the flags of a command that changes things.
type consent struct {
	approve, yes bool
	lockTimeout  time.Duration
}

func (c *consent) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.approve, "approve", false, "do it without asking")
	cmd.Flags().BoolVar(&c.yes, "yes", false, "the same as --approve")
	cmd.Flags().DurationVar(&c.lockTimeout, "lock-timeout", 0, "how long to wait for another command's lease")
}

func (c *consent) given() bool { return c.approve || c.yes }

// selection are the flags that narrow a plan.
type selection struct{ targets, excludes []string }

func (s *selection) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&s.targets, "target", nil, "only `ADDRESS` and what it depends on (repeatable)")
	cmd.Flags().StringArrayVar(&s.excludes, "exclude", nil, "all but `ADDRESS` and what depends on it (repeatable)")
}

func addresses(names []string) []resource.Address {
	addrs := make([]resource.Address, len(names))
	for i, n := range names {
		addrs[i] = resource.Address(n)
	}
	return addrs
}

func asFault(err error, target **fault.Error) bool { return errors.As(err, target) }

func asList(err error, target *fault.List) bool { return errors.As(err, target) }
