package main

import (
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
)

// setLog sends libcontainer's messages and ours where the caller wants them.
func setLog(debug bool, format, file string) error {
	if debug {
		logrus.SetLevel(logrus.DebugLevel)
		logrus.SetReportCaller(true)
		logrus.SetFormatter(&logrus.TextFormatter{CallerPrettyfier: shortCaller})
	}
	switch format {
	case "", "text":
	case "json":
		logrus.SetFormatter(new(logrus.JSONFormatter))
	default:
		return errors.New("invalid log-format: " + format)
	}
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_SYNC, 0o644)
	if err != nil {
		return err
	}
	logrus.SetOutput(f)
	return nil
}

// shortCaller names a function without the path of its module.
func shortCaller(f *goruntime.Frame) (function, file string) {
	return f.Function[strings.LastIndexByte(f.Function, '/')+1:] + "()",
		filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
}
