package appspec

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

func healthCheck(c *infra.Check) *godo.AppServiceSpecHealthCheck {
	if c == nil {
		return nil
	}
	return &godo.AppServiceSpecHealthCheck{
		HTTPPath: c.Path, Port: int64(c.Port), InitialDelaySeconds: seconds(c.Delay), PeriodSeconds: seconds(c.Interval),
		TimeoutSeconds: seconds(c.Timeout), SuccessThreshold: int32(c.Success), FailureThreshold: int32(c.Failure),
	}
}

func livenessCheck(c *infra.Check) *godo.HealthCheckSpec {
	if c == nil {
		return nil
	}
	return &godo.HealthCheckSpec{
		HTTPPath: c.Path, Port: int64(c.Port), InitialDelaySeconds: seconds(c.Delay), PeriodSeconds: seconds(c.Interval),
		TimeoutSeconds: seconds(c.Timeout), SuccessThreshold: int32(c.Success), FailureThreshold: int32(c.Failure),
	}
}

func fromHealthCheck(h *godo.AppServiceSpecHealthCheck) *infra.Check {
	if h == nil {
		return nil
	}
	path := h.HTTPPath
	if path == "" {
		path = h.Path // the old name
	}
	return &infra.Check{
		Path: path, Port: int(h.Port), Delay: span(h.InitialDelaySeconds), Interval: span(h.PeriodSeconds),
		Timeout: span(h.TimeoutSeconds), Success: int(h.SuccessThreshold), Failure: int(h.FailureThreshold),
	}
}

func fromLivenessCheck(h *godo.HealthCheckSpec) *infra.Check {
	if h == nil {
		return nil
	}
	return &infra.Check{
		Path: h.HTTPPath, Port: int(h.Port), Delay: span(h.InitialDelaySeconds), Interval: span(h.PeriodSeconds),
		Timeout: span(h.TimeoutSeconds), Success: int(h.SuccessThreshold), Failure: int(h.FailureThreshold),
	}
}

func span(seconds int32) sdk.Duration { return sdk.Duration(time.Duration(seconds) * time.Second) }

func autoscaling(a *infra.Autoscaling, f ComponentFields) *godo.AppAutoscalingSpec {
	if a == nil {
		return nil
	}
	out := &godo.AppAutoscalingSpec{MinInstanceCount: int64(a.Min), MaxInstanceCount: int64(a.Max), Metrics: &godo.AppAutoscalingSpecMetrics{}}
	percent := a.CPUPercent
	if percent == 0 && f.RequestsPerSecond == 0 && f.RequestDurationP95 == 0 {
		percent = defaultCPU // one metric is needed
	}
	if percent != 0 {
		out.Metrics.CPU = &godo.AppAutoscalingSpecMetricCPU{Percent: int64(percent)}
	}
	if f.RequestsPerSecond != 0 {
		out.Metrics.RequestsPerSecond = &godo.AppAutoscalingSpecMetricRequestsPerSecond{PerInstance: int64(f.RequestsPerSecond)}
	}
	if f.RequestDurationP95 != 0 {
		out.Metrics.RequestDuration = &godo.AppAutoscalingSpecMetricRequestDuration{P95Milliseconds: int64(f.RequestDurationP95)}
	}
	return out
}

const defaultCPU = 80

func fromAutoscaling(a *godo.AppAutoscalingSpec, f *ComponentFields) *infra.Autoscaling {
	if a == nil {
		return nil
	}
	out := &infra.Autoscaling{Min: int(a.MinInstanceCount), Max: int(a.MaxInstanceCount)}
	if m := a.Metrics; m != nil {
		if m.CPU != nil {
			out.CPUPercent = int(m.CPU.Percent)
		}
		if m.RequestsPerSecond != nil {
			f.RequestsPerSecond = int(m.RequestsPerSecond.PerInstance)
		}
		if m.RequestDuration != nil {
			f.RequestDurationP95 = int(m.RequestDuration.P95Milliseconds)
		}
	}
	return out
}

// appRules are the alerts that are about the app as a whole; the others are
// about a component.
var (
	appRules       = []string{"DEPLOYMENT_FAILED", "DEPLOYMENT_LIVE", "DOMAIN_FAILED", "DOMAIN_LIVE", "AUTOSCALE_FAILED", "AUTOSCALE_SUCCEEDED"}
	componentRules = []string{"CPU_UTILIZATION", "MEM_UTILIZATION", "RESTART_COUNT", "REQUESTS_PER_SECOND", "REQUEST_DURATION_P95_MS"}
	operators      = []string{"GREATER_THAN", "LESS_THAN"}
	windows        = []string{"FIVE_MINUTES", "TEN_MINUTES", "THIRTY_MINUTES", "ONE_HOUR"}
)

// windowOf reads what people write: 5m, five_minutes, FIVE_MINUTES.
func windowOf(text string) string {
	if i := slices.Index([]string{"5m", "10m", "30m", "1h"}, text); i >= 0 {
		return windows[i]
	}
	return strings.ToUpper(text)
}

// operatorOf reads > and < beside the platform's words.
func operatorOf(text string) string {
	switch text {
	case ">":
		return operators[0]
	case "<":
		return operators[1]
	}
	return strings.ToUpper(text)
}

func splitAlerts(alerts []infra.Alert) (app, component []*godo.AppAlertSpec) {
	for _, a := range alerts {
		out := &godo.AppAlertSpec{
			Rule: godo.AppAlertSpecRule(strings.ToUpper(a.Rule)), Operator: godo.AppAlertSpecOperator(operatorOf(a.Operator)),
			Window: godo.AppAlertSpecWindow(windowOf(a.Window)), Value: float32(a.Value), Disabled: a.Disabled,
		}
		if slices.Contains(appRules, string(out.Rule)) {
			app = append(app, out)
		} else {
			component = append(component, out)
		}
	}
	return app, component
}

func fromAlerts(alerts []*godo.AppAlertSpec) (list []infra.Alert) {
	for _, a := range alerts {
		out := infra.Alert{Rule: string(a.Rule), Value: float64(a.Value), Disabled: a.Disabled}
		if a.Operator != godo.AppAlertSpecOperator_UnspecifiedOperator {
			out.Operator = string(a.Operator)
		}
		if a.Window != godo.AppAlertSpecWindow_UnspecifiedWindow {
			out.Window = string(a.Window)
		}
		list = append(list, out)
	}
	return list
}

// targetOf is what a log destination sends to: what provider_specific says,
// else what its endpoint looks like.
func targetOf(d infra.LogDestination, f ComponentFields) LogTarget {
	if t, said := f.LogDestinations[d.Name]; said {
		return t
	}
	switch {
	case d.Endpoint == "":
		return LogTarget{Kind: "logtail"}
	case strings.Contains(d.Endpoint, "datadoghq"):
		return LogTarget{Kind: "datadog"}
	case strings.HasPrefix(d.Endpoint, "https://"):
		return LogTarget{Kind: "open_search"}
	}
	return LogTarget{Kind: "papertrail"}
}

func logDestinations(list []infra.LogDestination, f ComponentFields) (out []*godo.AppLogDestinationSpec) {
	for _, d := range list {
		spec := &godo.AppLogDestinationSpec{Name: d.Name}
		switch t := targetOf(d, f); t.Kind {
		case "logtail":
			spec.Logtail = &godo.AppLogDestinationSpecLogtail{Token: d.Token}
		case "datadog":
			spec.Datadog = &godo.AppLogDestinationSpecDataDog{Endpoint: d.Endpoint, ApiKey: d.Token}
		case "open_search":
			spec.OpenSearch = &godo.AppLogDestinationSpecOpenSearch{Endpoint: d.Endpoint, ClusterName: t.ClusterName, IndexName: t.IndexName}
			if d.Token != "" || t.User != "" {
				spec.OpenSearch.BasicAuth = &godo.OpenSearchBasicAuth{User: t.User, Password: d.Token}
			}
		default:
			spec.Papertrail = &godo.AppLogDestinationSpecPapertrail{Endpoint: d.Endpoint}
		}
		out = append(out, spec)
	}
	return out
}

// fromLogDestinations leaves the tokens out, but for an import: they cannot be
// told from what the platform made of them.
func fromLogDestinations(list []*godo.AppLogDestinationSpec, f *ComponentFields, tokens bool) (out []infra.LogDestination) {
	for _, spec := range list {
		d, t, token := infra.LogDestination{Name: spec.Name}, LogTarget{Kind: "papertrail"}, ""
		switch {
		case spec.Logtail != nil:
			t.Kind, token = "logtail", spec.Logtail.Token
		case spec.Datadog != nil:
			t.Kind, d.Endpoint, token = "datadog", spec.Datadog.Endpoint, spec.Datadog.ApiKey
		case spec.OpenSearch != nil:
			d.Endpoint = spec.OpenSearch.Endpoint
			t = LogTarget{Kind: "open_search", ClusterName: spec.OpenSearch.ClusterName, IndexName: spec.OpenSearch.IndexName}
			if spec.OpenSearch.BasicAuth != nil {
				t.User, token = spec.OpenSearch.BasicAuth.User, spec.OpenSearch.BasicAuth.Password
			}
		case spec.Papertrail != nil:
			d.Endpoint = spec.Papertrail.Endpoint
		}
		if t != targetOf(d, ComponentFields{}) {
			if f.LogDestinations == nil {
				f.LogDestinations = map[string]LogTarget{}
			}
			f.LogDestinations[d.Name] = t
		}
		if tokens {
			d.Token = token
		}
		out = append(out, d)
	}
	return out
}

func cors(c *infra.CORSRule, f AppFields) *godo.AppCORSPolicy {
	if c == nil {
		return nil
	}
	out := &godo.AppCORSPolicy{
		AllowMethods: c.Methods, AllowHeaders: c.Headers, ExposeHeaders: f.CORSExposeHeaders, AllowCredentials: f.CORSAllowCredentials,
	}
	if c.MaxAge != 0 {
		out.MaxAge = time.Duration(c.MaxAge).String()
	}
	for _, origin := range c.Origins {
		if strings.Contains(origin, "*") {
			out.AllowOrigins = append(out.AllowOrigins, &godo.AppStringMatch{Regex: originPattern(origin)})
		} else {
			out.AllowOrigins = append(out.AllowOrigins, &godo.AppStringMatch{Exact: origin})
		}
	}
	return out
}

func fromCORS(c *godo.AppCORSPolicy, f *AppFields) *infra.CORSRule {
	if c == nil {
		return nil
	}
	out := &infra.CORSRule{Methods: c.AllowMethods, Headers: c.AllowHeaders, Origins: []string{}}
	if age, err := time.ParseDuration(c.MaxAge); err == nil {
		out.MaxAge = sdk.Duration(age)
	}
	f.CORSExposeHeaders, f.CORSAllowCredentials = c.ExposeHeaders, c.AllowCredentials
	for _, m := range c.AllowOrigins {
		out.Origins = append(out.Origins, originOf(m))
	}
	return out
}

// originPattern is the expression that a * in an origin means.
func originPattern(origin string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(origin), `\*`, `.*`)
}

// originOf is the origin that a match stands for; an expression that no *
// makes is shown as it is.
func originOf(m *godo.AppStringMatch) string {
	switch {
	case m.Regex != "":
		origin := strings.ReplaceAll(strings.ReplaceAll(m.Regex, `.*`, `*`), `\`, ``)
		if originPattern(origin) == m.Regex {
			return origin
		}
		return m.Regex
	case m.Prefix != "":
		return m.Prefix + "*"
	}
	return m.Exact
}
