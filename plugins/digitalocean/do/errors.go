package do

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// said gives an error of the API its code and says what was being done. An
// error that has a code already keeps it.
func said(err error, doing string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &sdk.Error{Code: sdk.CodeOf(err), Message: doing, Err: err}
	}
	var known *sdk.Error
	if errors.As(err, &known) {
		return err
	}
	var answer *godo.ErrorResponse
	if !errors.As(err, &answer) || answer.Response == nil {
		// No answer: whether it had an effect is not known.
		return &sdk.Error{Code: sdk.CodeUnavailable, Message: doing, Err: err, Hint: "DigitalOcean could not be reached; run this again"}
	}
	e := &sdk.Error{Code: codeOf(answer.Response.StatusCode, answer.Message), Message: doing, Err: errors.New(describe(answer))}
	switch e.Code {
	case sdk.CodeRateLimited:
		e.RetryAfter = retryAfter(answer.Response, time.Now())
	case sdk.CodeUnauthorised:
		e.Hint = "check that the token of the iac.provider module is valid and has the scopes that this needs"
	}
	if isQuota(answer.Message) {
		e.Hint = "the account's limit is reached: remove what is not needed, or ask DigitalOcean to raise it"
	}
	return e
}

// describe is what the API said, without the address that was asked.
func describe(answer *godo.ErrorResponse) string {
	text := answer.Message
	if text == "" {
		text = http.StatusText(answer.Response.StatusCode)
	}
	text = "DigitalOcean answers " + strconv.Itoa(answer.Response.StatusCode) + ": " + text
	if answer.RequestID != "" {
		text += " (request " + answer.RequestID + ")"
	}
	return text
}

// codeOf maps an answer to a code. The API says with 409 and with 422 both that
// a name is taken and that something is wrong or busy; the text tells which.
func codeOf(status int, message string) sdk.Code {
	switch status {
	case http.StatusBadRequest:
		return sdk.CodeInvalid
	case http.StatusUnauthorized:
		return sdk.CodeUnauthorised
	case http.StatusForbidden:
		if isBusy(message) {
			return sdk.CodeConflict
		}
		return sdk.CodeUnauthorised
	case http.StatusNotFound, http.StatusGone:
		return sdk.CodeNotFound
	case http.StatusConflict:
		if isTaken(message) {
			return sdk.CodeAlreadyExists
		}
		return sdk.CodeConflict
	case http.StatusPreconditionFailed, http.StatusLocked:
		return sdk.CodeConflict
	case http.StatusUnprocessableEntity:
		switch {
		case isTaken(message):
			return sdk.CodeAlreadyExists
		case isBusy(message):
			return sdk.CodeConflict
		}
		return sdk.CodeInvalid
	case http.StatusTooManyRequests:
		return sdk.CodeRateLimited
	case http.StatusRequestTimeout:
		return sdk.CodeUnavailable
	}
	if status >= 500 {
		return sdk.CodeUnavailable
	}
	return sdk.CodeInternal
}

func holdsAny(message string, words ...string) bool {
	message = strings.ToLower(message)
	for _, w := range words {
		if strings.Contains(message, w) {
			return true
		}
	}
	return false
}

// isTaken tells whether a refusal is about a name that is in use.
func isTaken(message string) bool {
	return holdsAny(message, "already been taken", "already exists", "name is not available", "duplicate name", "name is already in use", "already taken", "is already in use on your account", "name is not unique")
}

// isBusy tells whether a refusal is about something that passes: a member that
// still leaves, a change that still runs.
func isBusy(message string) bool {
	return holdsAny(message, "with members", "pending event", "in use", "not online", "is currently", "in progress", "still ", "cannot delete a project with resources", "attached volume", "is attached", "locked")
}

func isQuota(message string) bool {
	return holdsAny(message, "exceed your account", "limit of", "droplet limit", "quota", "limit reached")
}

// retryAfter is how long the API asks to wait: seconds, or until the limit is
// set back.
func retryAfter(r *http.Response, now time.Time) time.Duration {
	if s, err := strconv.Atoi(r.Header.Get("retry-after")); err == nil && s >= 0 {
		return time.Duration(s) * time.Second
	}
	if at, err := strconv.ParseInt(r.Header.Get("ratelimit-reset"), 10, 64); err == nil {
		return max(time.Unix(at, 0).Sub(now), 0)
	}
	return 0
}

// busy tells whether the platform refused because of a change that is still
// under way, such as the one that an answer was lost of.
func busy(err error) bool {
	var e *sdk.Error
	return errors.As(err, &e) && e.Code == sdk.CodeConflict && e.Err != nil
}

// ambiguous tells whether a request may have had its effect although it failed.
func ambiguous(err error) bool { return sdk.CodeOf(err) == sdk.CodeUnavailable }

func deadline(format string, args ...any) *sdk.Error {
	return sdk.Errorf(sdk.CodeDeadline, format, args...).WithHint("look at it in DigitalOcean's control panel; running this again goes on waiting")
}

func notFound(what, name string) *sdk.Error {
	return sdk.Errorf(sdk.CodeNotFound, "there is no %s %q", what, name)
}

// wrong is a mistake in a configuration.
func wrong(path sdk.Path, hint, format string, args ...any) sdk.Diagnostic {
	return sdk.Diagnostic{Severity: sdk.SeverityError, Path: path, Message: sdk.Errorf(sdk.CodeInvalid, format, args...).Message, Hint: hint}
}

func note(path sdk.Path, format string, args ...any) sdk.Diagnostic {
	return sdk.Diagnostic{Severity: sdk.SeverityNote, Path: path, Message: sdk.Errorf(sdk.CodeInvalid, format, args...).Message}
}

// invalid is the same as an error.
func invalid(path sdk.Path, format string, args ...any) *sdk.Error {
	e := sdk.Errorf(sdk.CodeInvalid, format, args...)
	e.Path = path
	return e
}
