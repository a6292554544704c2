package engine

import (
	"errors"

	"github.com/gocodealone/wfctl/fault"
)

func asFault(err error, target **fault.Error) bool { return errors.As(err, target) }
