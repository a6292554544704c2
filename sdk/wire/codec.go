package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

// encoder turns the contract's types into messages. What a message cannot
// carry is an error that names it, never a value that is silently dropped.
type encoder struct{ errs []error }

func (e *encoder) fail(format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf(format, args...))
}

func (e *encoder) err() error { return errors.Join(e.errs...) }

// enum finds the number of a name; the empty name is 0.
func enum[E ~int32, S ~string](e *encoder, names []S, name S, what string) E {
	if i := slices.Index(names, name); i >= 0 {
		return E(i) //nolint:gosec // a handful
	}
	e.fail("%s %q is not one of the contract's", what, name)
	return 0
}

// text is prose: bytes that are not UTF-8 are replaced, so that a log line
// cannot break the call that it belongs to.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func each[A, B any](list []A, f func(A) B) []B {
	if len(list) == 0 {
		return nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = f(a)
	}
	return out
}

func paths(list []sdk.Path) []string {
	return each(list, func(p sdk.Path) string { return string(p) })
}

func toPaths(list []string) []sdk.Path {
	return each(list, func(s string) sdk.Path { return sdk.Path(s) })
}

// prose cleans every value of a map of texts.
func prose(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = text(v)
	}
	return out
}

func nonEmpty(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

func fromTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func toTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func fromDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func toDuration(d *durationpb.Duration) time.Duration { return d.AsDuration() }

// The names of the enumerations by number. They are functions and not
// variables, so that nothing can change them.

func codeNames() []sdk.Code {
	return []sdk.Code{
		"", sdk.CodeNotFound, sdk.CodeAlreadyExists, sdk.CodeConflict, sdk.CodeRateLimited, sdk.CodeUnauthorised, sdk.CodeInvalid,
		sdk.CodeUnavailable, sdk.CodeUnsupported, sdk.CodeCancelled, sdk.CodeDeadline, sdk.CodeInternal,
	}
}

func severityNames() []sdk.Severity {
	return []sdk.Severity{"", sdk.SeverityError, sdk.SeverityWarning, sdk.SeverityNote}
}

func actionNames() []sdk.Action {
	return []sdk.Action{"", sdk.ActionUpdate, sdk.ActionReplace, sdk.ActionIgnore}
}

func healthNames() []sdk.HealthStatus {
	return []sdk.HealthStatus{"", sdk.Healthy, sdk.Degraded, sdk.Unhealthy, sdk.Starting}
}

func capabilityNames() []sdk.Capability {
	return []sdk.Capability{
		"", sdk.CapList, sdk.CapImport, sdk.CapHealth, sdk.CapSizes, sdk.CapRegistry, sdk.CapSecretWriter,
		sdk.CapStateBootstrap, sdk.CapLogs, sdk.CapDiagnose,
	}
}

// named is the name of a number; a strict reader has refused those that have
// none.
func named[E ~int32, S ~string](names []S, number E) S {
	if number < 0 || int(number) >= len(names) {
		return ""
	}
	return names[number]
}

func (e *encoder) caps(list []sdk.Capability) []pb.Capability {
	return each(list, func(c sdk.Capability) pb.Capability {
		return enum[pb.Capability](e, capabilityNames(), c, "capability")
	})
}

func toCaps(list []pb.Capability) []sdk.Capability {
	return each(list, func(c pb.Capability) sdk.Capability { return named(capabilityNames(), c) })
}
