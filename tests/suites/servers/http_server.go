// http_server.go - net/http with a handler that allocates; prints its port, ends with its input
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		lines := make([]string, 50)
		for i := range lines {
			lines[i] = fmt.Sprintf("line %d of %s", i, r.URL.Path)
		}
		io.WriteString(w, strings.Join(lines, "\n"))
	})
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	go func() {
		io.ReadAll(os.Stdin)
		time.Sleep(10 * time.Millisecond)
		os.Exit(0)
	}()
	panic(http.Serve(listener, nil))
}
