package appspec

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// A gateway is an app of its own. Its ingress takes the paths, with names,
// certificates and CORS; one component carries what arrives on to the targets,
// since an ingress reaches components of its own app only. That component is
// Caddy, and its configuration a variable.
const (
	gatewayComponent = "gateway"
	gatewayImage     = "docker.io/library/caddy:2.10-alpine"
	gatewayVariable  = "CADDY_CONFIG"
	gatewayCommand   = `sh -c 'printf %s "$CADDY_CONFIG" >/tmp/caddy.json && exec caddy run --config /tmp/caddy.json'`
)

// Targets maps what routes name to the URLs that it stands for.
type Targets map[string]string

// isURL tells a URL from the name of an app.
func isURL(target string) bool { return strings.Contains(target, "://") }

// Names lists the targets of a gateway that are names of apps.
func (g Gateway) Names() (names []string) {
	for _, r := range g.Routes {
		if !isURL(r.Target) && !slices.Contains(names, r.Target) {
			names = append(names, r.Target)
		}
	}
	return names
}

func (t Targets) of(target string) string {
	if u, ok := t[target]; ok {
		return u
	}
	return target
}

// ValidateGateway finds what is wrong with a gateway beyond its schema.
func ValidateGateway(g Gateway) []sdk.Diagnostic {
	j := &judge{c: Config{ContainerService: infra.ContainerService{Domains: g.Domains}}}
	if len(g.Routes) == 0 {
		j.wrong("/routes", "", "a gateway without routes has nothing to do")
	}
	seen := map[string]bool{}
	for i, r := range g.Routes {
		at := sdk.Path("/routes").Index(i)
		switch {
		case r.Path == "":
		case !strings.HasPrefix(r.Path, "/"):
			j.wrong(at.Child("path"), "such as /api", "the path %q does not begin with a slash", r.Path)
		case seen[r.Path]:
			j.wrong(at.Child("path"), "", "two routes have the path %s", r.Path)
		}
		seen[r.Path] = true
		if isURL(r.Target) {
			if _, err := upstream(r.Target); err != nil {
				j.wrong(at.Child("target"), "such as https://api.example.com, or the name of an app", "%s", err.Error())
			}
		}
	}
	f := g.fields()
	if f.InstanceSizeSlug != "" && !knownSlug(f.InstanceSizeSlug) {
		j.wrong("/provider_specific/instance_size_slug", "known are "+strings.Join(slugs, ", "), "App Platform has no instance size %q", f.InstanceSizeSlug)
	}
	if f.Image != "" {
		if _, err := parseImage(f.Image); err != nil {
			j.wrong("/provider_specific/image", "an image of Caddy 2, such as "+gatewayImage, "%s", err.Error())
		}
	}
	j.region(g.Region)
	j.domains()
	return j.list
}

// NotesOfGateway are for the plan.
func NotesOfGateway(g Gateway) []sdk.Diagnostic {
	f := g.fields()
	text := explainSize("the gateway", g.Size, ComponentFields{InstanceSizeSlug: f.InstanceSizeSlug}, needs(f.InstanceCount, false))
	if text == "" {
		return nil
	}
	return []sdk.Diagnostic{{Severity: sdk.SeverityNote, Path: "/size", Message: text}}
}

func (g Gateway) fields() GatewayFields {
	if g.Specific == nil {
		return GatewayFields{}
	}
	return *g.Specific
}

// ToGateway makes the spec of the app behind a gateway.
func ToGateway(name string, g Gateway, vpc string, targets Targets) (*godo.AppSpec, error) {
	f := g.fields()
	image, err := parseImage(cmp.Or(f.Image, gatewayImage))
	if err != nil {
		return nil, err
	}
	carry, err := caddyConfig(g.Routes, targets)
	if err != nil {
		return nil, err
	}
	spec := &godo.AppSpec{Name: name, Region: regionOf(g.Region), Services: []*godo.AppServiceSpec{{
		Name: gatewayComponent, Image: image, RunCommand: gatewayCommand, HTTPPort: defaultPort,
		InstanceSizeSlug: slugOf(g.Size, ComponentFields{InstanceSizeSlug: f.InstanceSizeSlug}, needs(f.InstanceCount, false)), InstanceCount: int64(max(f.InstanceCount, 1)),
		Envs: []*godo.AppVariableDefinition{{Key: gatewayVariable, Value: carry, Scope: godo.AppVariableScope_RunTime, Type: godo.AppVariableType_General}},
	}}}
	if vpc != "" {
		spec.Vpc = &godo.AppVpcSpec{ID: vpc}
	}
	for _, d := range g.Domains {
		spec.Domains = append(spec.Domains, Config{}.domain(d))
	}
	spec.Ingress = &godo.AppIngressSpec{}
	for _, r := range g.Routes {
		// The path is kept as far as the component, which needs it to tell
		// routes apart and takes it off where that is asked for.
		path := trimmed(r.Path)
		rule := pathRule(path, gatewayComponent, path != "/")
		rule.CORS = cors(g.CORS, AppFields{})
		spec.Ingress.Rules = append(spec.Ingress.Rules, rule)
	}
	return spec, nil
}

// FromGateway is the configuration that makes an app of this spec; false
// where the app is no gateway.
func FromGateway(spec *godo.AppSpec, targets Targets) (g Gateway, ok bool) {
	if len(spec.Services) != 1 || spec.Services[0].Name != gatewayComponent || spec.Services[0].Image == nil {
		return g, false
	}
	s := spec.Services[0]
	g.Region = spec.Region
	f := &GatewayFields{InstanceCount: int(max(s.InstanceCount, 1)), InstanceSizeSlug: s.InstanceSizeSlug, Image: formatImage(s.Image, "")}
	if spec.Vpc != nil {
		f.VPCRef = spec.Vpc.ID
	}
	g.Size, _ = sizeOf(s.InstanceSizeSlug, needs(f.InstanceCount, false))
	g.Specific = f
	for _, e := range s.Envs {
		if e.Key == gatewayVariable {
			g.Routes = routesOf(e.Value, targets)
		}
	}
	for _, d := range spec.Domains {
		if d.Type != godo.AppDomainSpecType_Default {
			g.Domains = append(g.Domains, infra.Domain{Name: d.Domain, Primary: d.Type == godo.AppDomainSpecType_Primary, Zone: d.Zone})
		}
	}
	if spec.Ingress != nil {
		g.routed(spec.Ingress.Rules)
	}
	return g, true
}

// routed leaves out routes whose paths the ingress does not let in.
func (g *Gateway) routed(rules []*godo.AppIngressSpecRule) {
	open := []string{}
	for _, rule := range rules {
		if rule.CORS != nil {
			g.CORS = fromCORS(rule.CORS, &AppFields{})
		}
		if r, plain := plainRoute(rule); plain && r.Component == gatewayComponent {
			open = append(open, r.Path)
		}
	}
	g.Routes = slices.DeleteFunc(g.Routes, func(r infra.GatewayRoute) bool { return !slices.Contains(open, r.Path) })
}

// Bare leaves out what is as it would be anyway, for an import.
func (g Gateway) Bare() Gateway {
	f := g.fields()
	if f.InstanceCount == 1 {
		f.InstanceCount = 0
	}
	if g.Size != "" {
		f.InstanceSizeSlug = ""
	}
	if f.Image == gatewayImage {
		f.Image = ""
	}
	g.Specific = &f
	if f == (GatewayFields{}) {
		g.Specific = nil
	}
	return g
}

// DescribeGateway is to gateways what Describe is to services.
func DescribeGateway(live *godo.AppSpec, want Gateway, vpc string, targets Targets) (found Gateway, ok bool, err error) {
	made, err := ToGateway(live.Name, want, vpc, targets)
	if err != nil {
		return found, false, err
	}
	prior, err := object(want)
	if err != nil {
		return found, false, err
	}
	meant, _ := FromGateway(made, targets)
	have, ok := FromGateway(live, targets)
	if have.Size == "" {
		have.Size = have.fields().InstanceSizeSlug
	}
	found, err = shaped(prior, meant, have)
	return found, ok, err
}

// caddy is the part of Caddy's configuration that a gateway needs.
type caddy struct {
	Admin caddyAdmin `json:"admin"`
	Apps  struct {
		HTTP struct {
			Servers map[string]caddyServer `json:"servers"`
		} `json:"http"`
	} `json:"apps"`
}

type caddyAdmin struct {
	Disabled bool `json:"disabled"`
}

type caddyServer struct {
	Listen []string     `json:"listen"`
	HTTPS  caddyHTTPS   `json:"automatic_https"`
	Routes []caddyRoute `json:"routes"`
}

type caddyHTTPS struct {
	Disable bool `json:"disable"`
}

type caddyRoute struct {
	Match    []caddyMatch   `json:"match,omitempty"`
	Handle   []caddyHandler `json:"handle"`
	Terminal bool           `json:"terminal"`
}

type caddyMatch struct {
	Path []string `json:"path"`
}

type caddyHandler struct {
	// ID is the target as it was written, after the route's number.
	ID        string                             `json:"@id,omitempty"`
	Handler   string                             `json:"handler"`
	Strip     string                             `json:"strip_path_prefix,omitempty"`
	URI       string                             `json:"uri,omitempty"`
	Transport *caddyTransport                    `json:"transport,omitempty"`
	Headers   map[string]map[string]caddyHeaders `json:"headers,omitempty"`
	Upstreams []caddyUpstream                    `json:"upstreams,omitempty"`
}

type caddyHeaders map[string][]string

type caddyTransport struct {
	Protocol string    `json:"protocol"`
	TLS      *struct{} `json:"tls,omitempty"`
}

type caddyUpstream struct {
	Dial string `json:"dial"`
}

func caddyConfig(routes []infra.GatewayRoute, targets Targets) (string, error) {
	var c caddy
	c.Admin.Disabled = true
	server := caddyServer{Listen: []string{fmt.Sprintf(":%d", defaultPort)}, HTTPS: caddyHTTPS{Disable: true}}
	sorted := slices.Clone(routes)
	// The longest path first: of those that match, the first one has it.
	slices.SortStableFunc(sorted, func(a, b infra.GatewayRoute) int { return len(b.Path) - len(a.Path) })
	for _, r := range sorted {
		out, err := caddyRouteOf(r, slices.Index(routes, r), targets)
		if err != nil {
			return "", err
		}
		server.Routes = append(server.Routes, out)
	}
	c.Apps.HTTP.Servers = map[string]caddyServer{gatewayComponent: server}
	raw, err := json.Marshal(c)
	return string(raw), err
}

func caddyRouteOf(r infra.GatewayRoute, number int, targets Targets) (out caddyRoute, err error) {
	u, err := upstream(targets.of(r.Target))
	if err != nil {
		return out, err
	}
	out.Terminal = true
	if path := trimmed(r.Path); path != "/" {
		out.Match = []caddyMatch{{Path: []string{path, path + "/*"}}}
		if !r.PreservePathPrefix {
			out.Handle = append(out.Handle, caddyHandler{Handler: "rewrite", Strip: path})
		}
	}
	if base := strings.TrimSuffix(u.EscapedPath(), "/"); base != "" {
		out.Handle = append(out.Handle, caddyHandler{Handler: "rewrite", URI: base + "{http.request.uri}"})
	}
	proxy := caddyHandler{
		ID: fmt.Sprintf("%d:%s", number, r.Target), Handler: "reverse_proxy", Transport: &caddyTransport{Protocol: "http"},
		Headers:   map[string]map[string]caddyHeaders{"request": {"set": {"Host": {hostOf(u)}}}},
		Upstreams: []caddyUpstream{{Dial: u.Host}},
	}
	if u.Scheme == "https" {
		proxy.Transport.TLS = &struct{}{}
	}
	out.Handle = append(out.Handle, proxy)
	return out, nil
}

// trimmed is a path without the slash at its end.
func trimmed(path string) string {
	if path = strings.TrimRight(path, "/"); path == "" {
		return "/"
	}
	return path
}

// hostOf is what a request calls its server: without a port that goes without
// saying, which some servers do not know themselves by.
func hostOf(u *url.URL) string {
	if u.Port() == ports[u.Scheme] {
		return strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.Host
}

var ports = map[string]string{"http": "80", "https": "443"}

// upstream reads a target, with its port.
func upstream(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, sdk.Errorf(sdk.CodeInvalid, "%q is no URL of http or https", target)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, sdk.Errorf(sdk.CodeInvalid, "%q has more than a host and a path", target)
	case u.Port() == "":
		u.Host = net.JoinHostPort(u.Hostname(), ports[u.Scheme])
	}
	return u, nil
}

// routesOf reads the routes back. What was changed by hand so that it no
// longer fits is left out, which shows as a difference.
func routesOf(config string, targets Targets) []infra.GatewayRoute {
	var c caddy
	if json.Unmarshal([]byte(config), &c) != nil {
		return nil
	}
	type numbered struct {
		infra.GatewayRoute
		number int
	}
	var list []numbered
	for _, r := range c.Apps.HTTP.Servers[gatewayComponent].Routes {
		route, number, ok := routeOf(r, targets)
		if ok {
			list = append(list, numbered{route, number})
		}
	}
	slices.SortStableFunc(list, func(a, b numbered) int { return a.number - b.number })
	var out []infra.GatewayRoute
	for _, n := range list {
		out = append(out, n.GatewayRoute)
	}
	return out
}

// routeOf reads one route: its target is what was written, where that still
// stands for the address that requests go to.
func routeOf(r caddyRoute, targets Targets) (out infra.GatewayRoute, number int, ok bool) {
	out = infra.GatewayRoute{Path: "/", PreservePathPrefix: true}
	if len(r.Match) > 0 && len(r.Match[0].Path) > 0 {
		out.Path = r.Match[0].Path[0]
	} else {
		out.PreservePathPrefix = false
	}
	base := ""
	for _, h := range r.Handle {
		switch {
		case h.Strip != "":
			out.PreservePathPrefix = false
		case h.URI != "":
			base = strings.TrimSuffix(h.URI, "{http.request.uri}")
		case h.Handler == "reverse_proxy" && len(h.Upstreams) == 1:
			scheme := "http"
			if h.Transport != nil && h.Transport.TLS != nil {
				scheme = "https"
			}
			out.Target, ok = scheme+"://"+h.Upstreams[0].Dial+base, true
			prefix, written, _ := strings.Cut(h.ID, ":")
			_, _ = fmt.Sscan(prefix, &number) // 0 where somebody took the mark away
			if u, err := upstream(targets.of(written)); err == nil && u.Scheme+"://"+u.Host+strings.TrimSuffix(u.EscapedPath(), "/") == out.Target {
				out.Target = written
			}
		}
	}
	return out, number, ok
}
