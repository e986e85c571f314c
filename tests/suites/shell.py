#!/usr/bin/python3
# shell.py - real programs of a Linux system, natively and under ocrun: shells, pipelines, compilers, archives, git, make, man.
import http.server, os, pty, re, select, shutil, socketserver, threading, time
from pathlib import Path

from common import Suite, difference, show
import harness

suite = Suite("real programs of a Linux system, natively and under ocrun")


# ---- listing, pipelines, archives --------------------------------------------------------------------------------------
SHELL = r"""set -u; f() { local x=$1; echo "f $x"; }; f 1
trap 'echo got USR1' USR1; kill -USR1 $$; trap 'echo exit trap' EXIT
cat <<END | tr a-z A-Z
here document $((6 * 7))
END
diff <(seq 5) <(seq 6); echo "diff $?"
(exit 3); echo "sub $?"; sleep 0.1 & wait $!; echo "waited $?"
coproc cat; echo through >&${COPROC[1]}; read -r line <&${COPROC[0]}; echo "$line"
x=0; for i in {1..2000}; do x=$((x + i)); done; echo "$x"
ulimit -n; umask; type -t if; echo {a,b}{1,2}; mkfifo p; read -t 0.1 nothing <>p; echo "read $?"
"""
suite.compare("ls -lR /usr/share/doc", ["ls", "-lR", "/usr/share/doc"])
suite.compare("a pipeline of 10 stages",
              "seq 20000 | awk '{print $1 * 7 % 1009}' | sort -n | uniq -c | sort -rn | sed -n 1,500p | tail -400 | tr -s ' ' | "
              "cut -d' ' -f2,3 | md5sum; echo ${PIPESTATUS[*]}", expect=b"0 0 0 0 0 0 0 0 0 0")
suite.compare("find | xargs -P4 grep | sort | uniq -c",
              "find /usr/include -name '*.h' -print0 | xargs -0 -P4 -n 200 grep --line-buffered -ho '#include <sys/[a-z]*' | sort | uniq -c")
suite.compare("tar | gzip | gunzip | tar",
              "mkdir out && tar -C /usr/include -cf - linux | gzip -1 | gunzip | tar -C out -xf - && "
              "(cd out && find . -type f -print0 | sort -z | xargs -0 md5sum) | md5sum && find out | wc -l")
suite.compare("yes | head ends by SIGPIPE", "yes | head -100000 | wc; echo ${PIPESTATUS[*]}", expect=b"141 0 0")
suite.compare("shell built-ins, traps, here documents, process substitution", SHELL, expect=b"2001000")
suite.compare("many short processes", "for i in {1..200}; do /bin/true || echo bad; done; /bin/false; echo $?", timeout=120)
suite.compare("background jobs",
              "for i in 1 2 3 4 5 6 7 8; do (sleep 0.$i; exit $i) & done; s=0; for j in $(jobs -p); do wait $j; "
              "s=$((s + $?)); done; echo $s", expect=b"36")
suite.compare("dd, cmp, split, sort of a big file",
              "dd if=/dev/zero bs=64k count=200 2>/dev/null | tr '\\0' 'x' > big; split -b 1M big part.; "
              "cat part.* | cmp - big && ls part.* | wc -l; seq 200000 -1 1 | sort -n -S 1M -T . | md5sum")

# ---- git, compilers, make ----------------------------------------------------------------------------------------------
GIT = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A", "GIT_CONFIG_NOSYSTEM": "1",
       "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
       "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z", "GIT_PAGER": "cat"}
if suite.needs("git clone and fsck", "git"):
    suite.compare("git clone and fsck",
                  "git init -q -b main src && cd src && for i in $(seq 30); do seq $i $((i * 50)) > file$i; git add . && "
                  "git commit -q -m \"commit $i\"; done && git branch other HEAD~5 && git gc -q && cd .. && "
                  "git clone -q file://$PWD/src dst 2>&1 && cd dst && git fsck --full 2>&1 && git log --oneline | md5sum && "
                  "git checkout -q -b new origin/other && git merge -q main && git diff --stat HEAD~3 && git status --short",
                  env=GIT, timeout=180)

CXX = r"""#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <thread>
#include <vector>
int main() {
    std::map<std::string, int> m;
    for (auto& w : {"a", "b", "a"}) m[w]++;
    int total = 0;
    std::vector<std::jthread> v;
    for (auto& [k, n] : m) v.emplace_back([&total, n = n] { __atomic_add_fetch(&total, n, 5); });
    v.clear();
    std::cout << std::regex_replace(std::string("x" + std::to_string(total)), std::regex("x"), "total ") << "\n";
}
"""
if suite.needs("g++ of a C++ file", "g++"):
    suite.compare("g++ of a C++ file", "g++ -std=c++20 -O2 -pthread a.cc -o a && ./a && g++ -c -Wall bad.cc; echo $?",
                  prepare=lambda d: ((d / "a.cc").write_text(CXX), (d / "bad.cc").write_text("int f() { return x; }\n")),
                  timeout=180, expect=b"total 3")


def project(d):
    rules = ["CC = gcc", "OBJECTS = " + " ".join(f"f{i}.o" for i in range(50)), "all: program",
             "program: main.o $(OBJECTS)\n\t@$(CC) -o $@ main.o $(OBJECTS) && echo linked",
             "%.o: %.c all.h\n\t@$(CC) -c -O1 -o $@ $<"]
    (d / "Makefile").write_text("\n".join(rules) + "\n")
    (d / "all.h").write_text("".join(f"int f{i}(int);\n" for i in range(50)))
    for i in range(50):
        (d / f"f{i}.c").write_text(f'#include <stdio.h>\n#include "all.h"\nint f{i}(int x) {{ return x * {i} + 1; }}\n')
    calls = " + ".join(f"f{i}({i})" for i in range(50))
    (d / "main.c").write_text(f'#include <stdio.h>\n#include "all.h"\nint main(void) {{ printf("%d\\n", {calls}); }}\n')


if suite.needs("make -j4 of a project of 50 files", "make", "gcc"):
    suite.compare("make -j4 of a project of 50 files",
                  "make -s -j4 && ./program && sleep 1 && touch f7.c && make -j4 -n | wc -l && make -s -j4 && make -q; echo $?",
                  prepare=project, timeout=300, expect=b"linked")

# ---- perl, awk, curl, man, apt, busybox, musl -----------------------------------------------------------------------------
PERL = r"""use strict; my %h; $h{$_ % 97}++ for 1..100000; print join(",", map {"$_=$h{$_}"} sort {$a<=>$b} keys %h), "\n";
pipe(my $r, my $w); my $p = fork; if (!$p) { print $w "from child\n"; exit 7 } close $w; print <$r>; waitpid $p, 0;
print $? >> 8, "\n"; local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; sleep 10 }; print $@; print `echo backticks`;
open my $f, "-|", "seq 3"; print while <$f>; $SIG{USR1} = sub { print "usr1\n" }; kill USR1 => $$;
printf "%.6f\n", atan2(1,1)*4;"""
if suite.needs("perl", "perl"):
    suite.compare("perl", ["perl", "-e", PERL], expect=b"usr1")
if suite.needs("awk", "awk"):
    suite.compare("awk", ["awk", 'BEGIN { while (("seq 1000" | getline x) > 0) s += x; print s; "date -u -d @0 +%Y" | getline y; '
                          'print y; for (i = 0; i < 200000; i++) a[i % 1000] += i; print a[7]; system("exit 3"); '
                          'print "done" | "cat 1>&2" }'], expect=b"500500")

if suite.needs("curl from a loopback server", "curl"):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, code, body):
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer(404 if self.path == "/missing" else 200, (self.path * 20000).encode()[:200000])

        def do_POST(self):
            self.answer(200, self.rfile.read(int(self.headers["Content-Length"]))[::-1])

        def log_message(self, *args):
            pass

    class Threading(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

        def handle_error(self, request, address):  # a client that goes early
            pass

    server = Threading(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    suite.compare("curl from a loopback server",
                  f"curl -sS {url}/one | md5sum; curl -sS -o a -o b -w '%{{http_code}} %{{size_download}}\\n' {url}/two {url}/three; "
                  f"curl -sS -Z --no-progress-meter --parallel-max 8 -o 'p#1' '{url}/p[1-20]'; cat p* | md5sum; curl -sSf {url}/missing; echo $?; "
                  f"head -c 300000 /dev/zero | tr '\\0' a | curl -sS --data-binary @- {url}/ | wc -c; "
                  f"curl -s --max-time 2 http://127.0.0.1:1/; echo $?; curl -s --max-time 5 http://localhost.invalid/ ; echo $?",
                  env={"no_proxy": "*"}, expect=b"200 120000")
    server.shutdown()

PAGE = """.TH DEMO 1
.SH NAME
demo \\- a page
.SH DESCRIPTION
.B Bold
and
.I italic
words, a list:
.IP 1. 4
first
.IP 2. 4
second
"""
if suite.needs("man", "man"):
    suite.compare("man", "man -l page.1 | cat; man -P cat -l page.1 2>/dev/null | head -3; man no-such-page-here; echo $?",
                  prepare=lambda d: (d / "page.1").write_text(PAGE), env={"MANWIDTH": "70", "MANPAGER": "cat"},
                  expect=b"DESCRIPTION")
if suite.needs("apt-get", "apt-get"):
    suite.compare("apt-get", "apt-get --version | head -3; apt-get install --simulate -y bash | tail -3; "
                  "apt-cache policy bash | head -3", timeout=120)
if suite.needs("busybox-static sh", "busybox"):
    suite.compare("busybox-static sh", [shutil.which("busybox"), "sh", "-c",
                  "i=0; while [ $i -lt 50 ]; do i=$((i + 1)); echo $i; done | busybox sort -rn | busybox head -3; busybox seq 5 | "
                  "busybox awk '{s += $1} END {print s}'; (busybox sleep 0.3; echo later) & echo sooner; wait; busybox ls -d /; "
                  "busybox tar -cf - -C /etc passwd | busybox tar -tf -; trap 'echo trapped' USR1; kill -USR1 $$; exit 5"],
                  status=5, expect=b"trapped")
MUSL = r"""#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static int n;
static void* f(void* a) { usleep(1000); __atomic_add_fetch(&n, 1, 5); return a; }
int main(void) {
    pthread_t t[50];
    for (int i = 0; i < 50; i++) pthread_create(&t[i], 0, f, 0);
    for (int i = 0; i < 50; i++) pthread_join(t[i], 0);
    int s;
    if (!fork()) _exit(9);
    wait(&s);
    printf("%d %d\n", n, WEXITSTATUS(s));
}
"""
if suite.needs("a program linked statically with musl", "musl-gcc"):
    suite.compare("a program linked statically with musl", "musl-gcc -static -O1 -o m m.c && ./m && ./m",
                  prepare=lambda d: (d / "m.c").write_text(MUSL), expect=b"50 9")
suite.compare("setarch -R and env -i",
              "setarch -R /bin/cat /proc/self/personality; setarch -R sh -c 'grep -c stack /proc/self/maps'; "
              "env -i /usr/bin/env; env -i A=1 /usr/bin/env; env -i /bin/sh -c 'echo $0 $#'", expect=b"00040000")
suite.compare("nice, timeout, setsid, xargs, flock, fifo",
              "nice -n 5 nice; timeout 0.2 sleep 10; echo $?; timeout -s KILL 0.2 sleep 10; echo $?; setsid -w sh -c 'exit 4'; "
              "echo $?; seq 30 | xargs -n 3 -P 3 sh -c 'exit 0'; echo $?; flock lock sh -c 'echo locked'; "
              "mkfifo f; (cat < f; echo read) & echo to-fifo > f; wait; stdbuf -o0 echo unbuffered",
              expect=b"124", normalise=lambda b: re.sub(rb"(line \d+:) +\d+ ", rb"\1 PID ", b))
if suite.needs("script gives a program a terminal", "script"):
    suite.compare("script gives a program a terminal",
                  ["script", "-qec", "tty >/dev/null && stty size && echo on a terminal", "/dev/null"],
                  normalise=lambda b: b.replace(b"\r", b""), expect=b"on a terminal")


# ---- job control in an interactive bash -------------------------------------------------------------------------------------
class Terminal:
    """bash -i on a pseudo terminal; every step waits for what must appear, then for the prompt"""

    def __init__(self, prefix):
        self.text = b""
        self.shown = b""
        self.mark = os.urandom(8).hex()
        env = {"PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "<prompt>", "HOME": suite.directory, "LC_ALL": "C",
               "HISTFILE": "", harness.MARK: self.mark, "INPUTRC": "/dev/null"}
        command = prefix + ["bash", "--norc", "--noprofile", "--noediting", "-i"]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                harness.limits()
                os.chdir(suite.directory)
                os.execvpe(command[0], command, env)
            finally:
                os._exit(127)

    def expect(self, pattern, timeout=20):
        end = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.text)
            if found:
                self.shown += self.text[:found.end()]
                self.text = self.text[found.end():]
                return
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise TimeoutError(f"waited for {pattern!r}, have {self.text!r}")
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                piece = b""
            if not piece:
                raise EOFError(f"waited for {pattern!r}, have {self.text!r}")
            self.text += piece

    def send(self, keys):
        os.write(self.fd, keys.encode())

    def command(self, text, pattern=None):
        self.send(text + "\n")
        if pattern:
            self.expect(pattern)
        self.expect(rb"<prompt>")

    def foreground(self, program):
        """waits until a process of this name has the terminal"""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                group = os.tcgetpgrp(self.fd)
                if group != self.pid and Path(f"/proc/{group}/comm").read_text().strip() == program:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise TimeoutError(f"{program} never came to the foreground")


def session(t):
    t.expect(rb"<prompt>")
    t.command("stty -echo")
    t.command("echo started", rb"started")
    t.send("sleep 100\n")
    t.foreground("sleep")
    t.send("\x03")
    t.expect(rb"<prompt>")
    t.command("echo status $?", rb"status 130")
    t.send("sleep 100\n")
    t.foreground("sleep")
    t.send("\x1a")
    t.expect(rb"Stopped +sleep 100")
    t.expect(rb"<prompt>")
    t.command("jobs", rb"\[1\]\+  Stopped")
    t.command("bg", rb"\[1\]\+ sleep 100 &")
    t.command("jobs", rb"\[1\]\+  Running")
    t.send("fg\n")
    t.foreground("sleep")
    t.send("\x03")
    t.expect(rb"<prompt>")
    t.command("jobs; echo none", rb"none")
    t.command("set +m; (sleep 0.3; exit 5) & sleep 100 &", rb"")
    t.command("wait -n; echo first $?", rb"first 5")
    t.command("kill $!; wait $! 2>/dev/null; echo killed $?", rb"killed 143")
    t.command("set -m; trap 'echo trapped INT' INT; kill -INT $$; echo set", rb"trapped INT\r\nset")
    t.send("sleep 100\n")
    t.foreground("sleep")
    t.send("\x03")
    t.expect(rb"<prompt>")
    t.command("echo interrupted $?", rb"interrupted 130")
    t.command("trap - INT; cat &", rb"\[1\] \d+")
    t.command("while ! jobs | grep -q Stopped; do sleep 0.1; done; echo reads in the background", rb"reads in")  # SIGTTIN
    t.command("kill -9 %1; wait 2>/dev/null; echo gone", rb"gone")
    t.send("cat\n")
    t.foreground("cat")
    t.send("typed line\n")
    t.expect(rb"typed line")
    t.send("\x04")
    t.expect(rb"<prompt>")
    t.send("sleep 100 | sleep 100\n")
    t.foreground("sleep")
    t.send("\x1c")
    t.expect(rb"Quit")
    t.expect(rb"<prompt>")
    t.command("trap 'echo on exit' EXIT; sh -c 'kill -STOP $$'; echo after", rb"after")
    t.command("kill -CONT %1; wait; echo all", rb"all")
    t.send("exit 3\n")
    t.expect(rb"on exit")
    return os.waitstatus_to_exitcode(os.waitpid(t.pid, 0)[1])


TITLE = "bash job control through a terminal"
if suite.needs(TITLE, "bash"):
    transcripts = {}
    for mode, prefix in suite.modes():
        t = Terminal(prefix)
        try:
            status = session(t)
        except (TimeoutError, EOFError, OSError) as e:
            dump = harness.coroutine_dump(suite.ocrun_file, harness.processes_of(t.pid, t.mark)) if prefix else ""
            harness.kill_run(t.pid, t.mark)
            os.waitpid(t.pid, 0)
            suite.fail(TITLE, mode, f"{e}\n{show('seen', t.shown[-2000:])}{dump}")
            continue
        finally:
            os.close(t.fd)
        # process ids differ; when a "Done" or "Terminated" notice comes is bash's own affair, but not what is said
        clean = re.sub(rb"\[(\d)\] \d+", rb"[\1] PID", t.shown.replace(b"\r", b""))
        clean = re.sub(rb"line \d+: +\d+ ", b"line N: PID ", clean)
        said = {line.replace(b"<prompt>", b"").strip() for line in clean.split(b"\n")} - {b""}
        # whether bash notices that a background job stopped before or after it was killed is a race natively too
        said = {line for line in said if not re.match(rb"\[1\]\+ +(Stopped|Killed) +cat", line)}
        transcripts[mode] = b"\n".join(sorted(said))
        if status != 3:
            suite.fail(TITLE, mode, f"exit status {status}\n{show('seen', t.shown)}")
        elif mode != "native" and "native" in transcripts and transcripts[mode] != transcripts["native"]:
            suite.fail(TITLE, mode, "differs\n" + difference(transcripts["native"], transcripts[mode]))
        else:
            suite.ok(TITLE, mode)
suite.end()
