module github.com/nemoclaw/nemoclaw

go 1.26
