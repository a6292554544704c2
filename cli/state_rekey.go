package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
)

func (a *App) stateRekey() *cobra.Command {
	var c consent
	var former string
	var newKey bool
	cmd := &cobra.Command{
		Use: "rekey", Short: "Encrypt anew what the record holds", Args: cobra.NoArgs,
		Long: `Encrypt what the environment's state holds with the ` + "`encryption`" + ` that its module
iac.state names now: after another person may read it or may no longer, after a
change of keys, or when encryption was just added. The log is condensed
afterwards, so that nothing of the old encryption is left in it.

Whatever opened it before must still be here: the private key of an age
recipient, or the right to use the key of a service. --former names it where
the file no longer does. Without any ` + "`encryption`" + `, the encrypted values are
dropped: they are never kept in plain.

Exit status: 0 done; 1 failed, the old encryption still holds; 2 refused or
wrong usage.`,
		Example: "  wfctl infra state rekey --env staging --approve\n  wfctl infra state rekey --former 'awskms://alias/old?region=eu-west-1' --env staging --approve",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runStateRekey(cmd.Context(), c, former, newKey)
		},
	}
	c.register(cmd)
	cmd.Flags().StringVar(&former, "former", "", "the encryption before: the `URL` of a key, or an age recipient")
	cmd.Flags().BoolVar(&newKey, "new-key", false, "make a new fingerprint key too: every sensitive value then shows as changed once")
	return cmd
}

func (a *App) runStateRekey(ctx context.Context, c consent, former string, newKey bool) (err error) {
	o := engine.RekeyOptions{NewKey: newKey, Wait: c.lockTimeout}
	if o.Former, err = formerEncryption(former); err != nil {
		return err
	}
	eo := a.engineOptions()
	eo.Events = a.notices()
	p, err := engine.Open(ctx, a.Kinds, eo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	question := "Encrypt the record of " + p.Environment().Name() + " anew?"
	if !p.Encrypted() {
		question = "The module iac.state names no encryption: drop what the record of " + p.Environment().Name() + " holds encrypted?"
	}
	if err := a.confirm(ctx, question, "infra state rekey", c); err != nil {
		return err
	}
	n, err := p.Rekey(ctx, o)
	if err != nil {
		return err
	}
	a.say("%d values of %s are sealed anew, and the fingerprint key.", n, p.Environment().Name())
	return nil
}

// formerEncryption makes the options of an encryption of a flag.
func formerEncryption(text string) (json.RawMessage, error) {
	switch {
	case text == "":
		return nil, nil
	case strings.HasPrefix(text, "age1"):
		return json.Marshal(map[string]any{"age": map[string]any{"recipients": []string{text}}})
	case strings.Contains(text, "://"):
		return json.Marshal(map[string]any{"kms": text})
	}
	return nil, fault.New(fault.Usage, "--former %q is neither the URL of a key nor an age recipient", text)
}
