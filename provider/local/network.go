package local

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"

	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// recorded is a type that has no counterpart on one machine: it is remembered,
// so that what refers to it resolves, and does nothing.
func recorded[C any](name, dir, description string, ignored map[string]string) *typed[C] {
	return &typed[C]{name: name, dir: dir, description: description, ignored: ignored, out: []sdk.OutputSchema{output("id", "string", "identifier")}}
}

func (p *provider) vpcs() kind {
	return recorded[infra.VPC](infra.TypeVPC, "vpcs", "A private network; on this machine the loopback interface stands for it.",
		map[string]string{"region": onOneMachine, "ip_range": "everything is on the loopback interface", "size": onOneMachine})
}

func (p *provider) firewalls() kind {
	return recorded[infra.Firewall](infra.TypeFirewall, "firewalls", "Rules; on this machine nothing listens but on the loopback interface.",
		map[string]string{"inbound": "nothing listens but on the loopback interface", "outbound": "nothing is filtered", "region": onOneMachine})
}

// dns remembers records and reports how this machine reaches their names.
func (p *provider) dns() kind {
	k := recorded[infra.DNS](infra.TypeDNS, "dns", "A zone; on this machine its names are reported with the records that would be served.", map[string]string{"region": onOneMachine})
	k.out = append(k.out, output("zone", "string", "the zone"), output("records", "array", "the records"))
	k.make = func(_ context.Context, j *job, c infra.DNS) error { return j.thing.keep(c) }
	k.report = func(_ context.Context, t *thing) (sdk.Outputs, error) {
		c := detail[infra.DNS](t)
		if c.Records == nil {
			c.Records = []infra.Record{}
		}
		return sdk.Outputs{"id": sdk.Out(t.ID), "zone": sdk.Out(c.Zone), "records": sdk.Out(c.Records)}, nil
	}
	for i := range k.out {
		k.out[i].Stable = k.out[i].Name == "id"
	}
	return k
}

// balancer is what is kept of a load balancer: the port of each rule.
type balancer struct {
	Ports map[string]int `json:"ports"`
}

// loadBalancers forward loopback ports to their targets.
func (p *provider) loadBalancers() kind {
	return &typed[infra.LoadBalancer]{
		name: infra.TypeLoadBalancer, dir: "load_balancers", description: "Loopback ports that forward to targets.",
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), {Name: "ip", Type: "string", Description: "the address", Stable: true},
			{Name: "url", Type: "string", Description: "where the first rule answers"}, {Name: "ports", Type: "object", Description: "the port of each rule, by the rule's own"},
		},
		ignored: map[string]string{"region": onOneMachine, "size": onOneMachine, "vpc_ref": onOneMachine, "health_check": "a target that does not answer is passed over"},
		slow:    60,
		make:    p.makeBalancer, find: p.findBalancer, report: reportBalancer, clear: p.clearService,
	}
}

func ruleService(t *thing, port int) string { return fmt.Sprintf("%s/%d", t.ID, port) }

func (p *provider) makeBalancer(ctx context.Context, j *job, c infra.LoadBalancer) error {
	old := detail[balancer](j.thing)
	now := balancer{Ports: map[string]int{}}
	for _, r := range c.Rules {
		if r.TLSPassthrough || r.Protocol == "udp" {
			j.warn("/rules", "provider local forwards TCP as it is: "+r.Protocol+" is not changed on the way")
		}
		port := old.Ports[fmt.Sprint(r.Port)]
		if port == 0 {
			port = r.Port
		}
		st, err := p.up(ctx, j, supervisor.Spec{
			Name: ruleService(j.thing, r.Port), Server: "forward", Options: forwardOptions(c.Targets, r.TargetPort),
			Listen: &supervisor.Listen{Port: unprivileged(port), Fallback: true},
		})
		if err != nil {
			return err
		}
		now.Ports[fmt.Sprint(r.Port)] = st.Port
	}
	for rule := range old.Ports {
		if _, stays := now.Ports[rule]; !stays {
			if err := p.down(ctx, j.thing.ID+"/"+rule); err != nil {
				return err
			}
		}
	}
	return j.thing.keep(now)
}

// unprivileged leaves the choice of a port below 1024 to the supervisor.
func unprivileged(port int) int {
	if port < 1024 {
		return 0
	}
	return port
}

func (p *provider) findBalancer(ctx context.Context, t *thing) (condition, error) {
	for _, rule := range slices.Sorted(maps.Keys(detail[balancer](t).Ports)) {
		if _, c, err := p.serviceStatus(ctx, t.ID+"/"+rule); err != nil || c.status != sdk.Healthy {
			return c, err
		}
	}
	return well, nil
}

func reportBalancer(_ context.Context, t *thing) (sdk.Outputs, error) {
	b := detail[balancer](t)
	url := ""
	if rules := slices.Sorted(maps.Keys(b.Ports)); len(rules) > 0 {
		url = "http://" + net.JoinHostPort("127.0.0.1", fmt.Sprint(b.Ports[rules[0]]))
	}
	return sdk.Outputs{"id": sdk.Out(t.ID), "ip": sdk.Out("127.0.0.1"), "url": sdk.Out(url), "ports": sdk.Out(b.Ports)}, nil
}

// clearService ends what the supervisor runs for a resource.
func (p *provider) clearService(ctx context.Context, t *thing) error { return p.down(ctx, t.ID) }
