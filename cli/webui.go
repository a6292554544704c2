package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/web"
)

func (a *App) uiCommand() *cobra.Command {
	var port int
	cmd := &cobra.Command{
		Use: "ui", Short: "The page: runs, timelines, resources, approvals", Args: cobra.NoArgs,
		Long: `Serve a page on loopback that shows the runs, one run as a timeline that grows
as it happens, the resources with the pending plan, and takes approvals. Of a
database that several projects share it shows all runs, or those of a project
that is chosen. The address that is printed holds a token: whoever has it can
approve. Nothing is fetched from elsewhere. It ends with ctrl-C.

Exit status: 0 ended; 1 failed; 2 wrong usage; 130 interrupted.`,
		Example: "  wfctl ui --env local\n  wfctl ui --port 8100",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withEvents(cmd.Context(), func(s *event.Store) error { return a.serveUI(cmd.Context(), s, port) })
		},
	}
	cmd.Flags().IntVar(&port, "port", 0, "the `PORT` on loopback (default: any that is free)")
	return cmd
}

func (a *App) serveUI(ctx context.Context, s *event.Store, port int) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fault.Wrap(fault.Environment, err, "open the port for the page").WithHint("choose another with --port")
	}
	server, err := web.New(s, &webSource{a, s}, l.Addr().String())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if _, err := fmt.Fprintln(a.Stdout, server.URL()); err != nil {
		return err
	}
	a.say("The page is there. End with ctrl-C.")
	return server.Serve(ctx, l)
}

// webSource answers the page from the project as it is at the moment.
type webSource struct {
	app   *App
	store *event.Store
}

// Settle implements web.Source.
func (w *webSource) Settle(r event.Run) event.Run { return settledRun(r) }

// Approve implements web.Source.
func (w *webSource) Approve(ctx context.Context, run string, given event.ApprovalGiven) error {
	return w.app.approve(ctx, w.store, run, given)
}

// quietly opens the project and its state, and says nothing.
func (w *webSource) quietly(ctx context.Context, fn func(*engine.Project, *engine.Work) error) (err error) {
	p, err := engine.Open(ctx, w.app.Kinds, w.app.engineOptions())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	work, err := p.Look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, work.End(ctx)) }()
	return fn(p, work)
}

// Resources implements web.Source.
func (w *webSource) Resources(ctx context.Context) (web.Graph, error) {
	var g web.Graph
	err := w.quietly(ctx, func(p *engine.Project, work *engine.Work) error {
		g.Project, g.Environment = p.Environment().Project(), p.Environment().Name()
		nodes := map[string]*web.Node{}
		for _, rec := range work.Records() {
			if rec.Deposed != "" {
				continue
			}
			nodes[string(rec.Address)] = recordNode(rec)
		}
		for _, d := range p.Set.Nodes {
			n := nodes[string(d.Address())]
			if n == nil {
				n = &web.Node{Address: string(d.Address()), Type: d.Type(), Name: d.Name(), Status: "absent"}
				nodes[n.Address] = n
			}
			n.DependsOn = strs(d.DependsOn())
		}
		if err := addPlan(ctx, work, nodes); err != nil {
			g.Problem = err.Error()
		}
		for _, name := range sortedKeys(nodes) {
			g.Nodes = append(g.Nodes, *nodes[name])
		}
		return nil
	})
	return g, err
}

// recordNode is what state knows of a resource. Sensitive outputs have no
// value in a record.
func recordNode(rec resource.Record) *web.Node {
	n := &web.Node{Address: string(rec.Address), Type: rec.Type, Name: rec.Name, ID: rec.ID, Status: string(rec.Status), DependsOn: strs(rec.DependsOn)}
	if rec.Status == resource.Ready {
		n.Status = "ready"
	}
	for _, name := range sortedKeys(rec.Outputs) {
		out := rec.Outputs[name]
		o := web.Output{Name: name, Sensitive: out.Sensitive || out.Value == nil}
		if !o.Sensitive {
			o.Value = strings.Trim(string(out.Value), `"`)
		}
		n.Outputs = append(n.Outputs, o)
	}
	return n
}

func addPlan(ctx context.Context, work *engine.Work, nodes map[string]*web.Node) error {
	pl, err := work.Plan(ctx, engine.PlanOptions{Nodes: engine.AllNodes})
	if err != nil {
		return err
	}
	for _, c := range pl.Changes {
		n := nodes[string(c.Address())]
		action := string(c.Action())
		if n == nil || action == "no-op" {
			continue
		}
		n.Action, n.Reason = action, c.Reason()
		for _, f := range c.Fields() {
			n.Fields = append(n.Fields, f.Path.Dotted())
		}
	}
	return nil
}

func strs(addrs []resource.Address) []string {
	list := make([]string, len(addrs))
	for i, a := range addrs {
		list[i] = string(a)
	}
	return list
}

// History implements web.Source.
func (w *webSource) History(ctx context.Context, address string) ([]web.Entry, error) {
	var list []web.Entry
	err := w.quietly(ctx, func(_ *engine.Project, work *engine.Work) error {
		for h, err := range work.History(ctx) {
			if err != nil {
				return err
			}
			if string(h.Address) == address {
				list = append(list, web.Entry{Time: h.Time, Who: h.Who, Run: h.Run, What: h.Kind, Detail: h.Detail})
			}
		}
		slices.Reverse(list)
		return nil
	})
	return list, err
}
