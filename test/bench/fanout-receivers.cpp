// Many WebSocket receivers in one process, so cheap that the server is what is measured. Same commands and answers as
// fanout-reader.ts. Usage: <port> <path> <hellos> <order> <opened> <count>
//   hellos: file with one text frame a line, sent after the upgrade (line n for socket n; empty: none)
//   order:  text before the number that must grow by one from frame to frame, such as "offset":
//   opened: text of the frame from which on a socket is open; empty: the upgrade is enough
// Frames with TS=<ns>; (CLOCK_MONOTONIC) are measured, and those with "time":<ms> (of the day) from that moment too. Masking is required of clients; a zero key masks nothing.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

struct Receiver {
  int fd = -1;
  enum { connecting, upgrading, opening, open, gone } state = connecting;
  bool stalled = false;
  bool wasStalled = false;
  std::string rest;  // a frame that has not come in whole
  uint64_t last = 0;
};

static int port, ep;
static std::string path, order_, opened;
static std::vector<std::string> hellos;
static std::vector<Receiver> all;
static std::vector<uint32_t> micros, decided;
static uint64_t received, bytes, lost, duplicated, reordered;
static size_t next_, openCount, goneCount, busy;
static char buffer[1 << 18];

static uint64_t nowNs(clockid_t clock = CLOCK_MONOTONIC) {
  timespec t;
  clock_gettime(clock, &t);
  return uint64_t(t.tv_sec) * 1000000000ull + t.tv_nsec;
}

static void note(std::vector<uint32_t>& series, uint64_t from, uint64_t now) {
  if (series.size() < 8000000)
    series.push_back(now > from ? uint32_t(std::min<uint64_t>((now - from) / 1000, UINT32_MAX)) : 0);
}

static void sendAll(Receiver& r, const std::string& data) {
  // Hellos and pongs are smaller than any socket buffer.
  if (write(r.fd, data.data(), data.size()) < 0) {}
}

static std::string masked(int opcode, const std::string& payload) {
  std::string f(1, char(0x80 | opcode));
  if (payload.size() < 126) f += char(0x80 | payload.size());
  else { f += char(0x80 | 126); f += char(payload.size() >> 8); f += char(payload.size() & 255); }
  return f + std::string(4, '\0') + payload;
}

static void end(Receiver& r) {
  if (r.state == Receiver::gone) return;
  if (r.state != Receiver::open) busy--;
  r.state = Receiver::gone;
  goneCount++;
  close(r.fd);
}

static void becomeOpen(Receiver& r) {
  r.state = Receiver::open;
  busy--;
  if (++openCount + goneCount == all.size()) { printf("open %zu\n", openCount); fflush(stdout); }
}

static uint64_t numberAt(const char* p, const char* e) {
  uint64_t n = 0;
  while (p < e && *p >= '0' && *p <= '9') n = n * 10 + uint64_t(*p++ - '0');
  return n;
}

static void text(Receiver& r, const char* p, size_t n) {
  const char* e = p + n;
  // Centrifugo joins what waits, a line each.
  if (auto* end = (const char*)memchr(p, '\n', n)) {
    text(r, p, end - p);
    if (end + 1 < e) text(r, end + 1, e - end - 1);
    return;
  }
  if (n == 1 && *p == '2') return sendAll(r, masked(1, "3"));  // engine.io asks whether we are there
  if (n == 2 && *p == '{') return sendAll(r, masked(1, "{}"));  // so does Centrifugo
  if (r.state == Receiver::opening) {
    if (n && *p == '0' && opened == "40") return sendAll(r, masked(1, "40"));  // engine.io: open the namespace
    if (memmem(p, n, opened.data(), opened.size())) becomeOpen(r);
    return;
  }
  auto* o = (const char*)memmem(p, n, order_.data(), order_.size());
  if (!o) return;
  uint64_t at = numberAt(o + order_.size(), e);
  if (r.last && at != r.last + 1) {
    if (at == r.last) duplicated++;
    else if (at < r.last) reordered++;
    else lost += at - r.last - 1;
  }
  if (at > r.last) r.last = at;
  auto* t = (const char*)memmem(p, n, "TS=", 3);
  if (!t) return;
  received++;
  note(micros, numberAt(t + 3, e), nowNs());
  // Our events say when they were decided, just before their commit.
  auto* d = (const char*)memmem(p, n, "\"time\":", 7);
  if (d) note(decided, numberAt(d + 7, e) * 1000000, nowNs(CLOCK_REALTIME));
}

/** Takes whole frames out of the bytes; returns how many bytes that were. */
static size_t frames(Receiver& r, const char* data, size_t n) {
  size_t at = 0;
  while (n - at >= 2 && r.state != Receiver::gone) {
    auto* h = (const unsigned char*)data + at;
    size_t head = 2, length = h[1] & 127;
    if (length == 126) { head = 4; if (n - at < 4) break; length = h[2] << 8 | h[3]; }
    else if (length == 127) { head = 10; if (n - at < 10) break; length = 0; for (int i = 2; i < 10; i++) length = length << 8 | h[i]; }
    if (n - at < head + length) break;
    int opcode = h[0] & 15;
    if (opcode == 1) text(r, data + at + head, length);
    else if (opcode == 9) sendAll(r, masked(10, std::string(data + at + head, length)));
    else if (opcode == 8) { end(r); return n; }
    at += head + length;
  }
  return at;
}

static void readable(Receiver& r) {
  ssize_t n = read(r.fd, buffer, sizeof buffer);
  if (n <= 0) { if (n == 0 || errno != EAGAIN) end(r); return; }
  bytes += n;
  const char* data = buffer;
  size_t length = n;
  if (r.state == Receiver::upgrading) {
    r.rest.append(buffer, n);
    size_t head = r.rest.find("\r\n\r\n");
    if (head == std::string::npos) return;
    if (r.rest.compare(0, 12, "HTTP/1.1 101")) { fprintf(stderr, "%s\n", r.rest.c_str()); return end(r); }
    r.rest.erase(0, head + 4);
    r.state = Receiver::opening;
    size_t index = &r - &all[0];
    if (index < hellos.size() && !hellos[index].empty()) sendAll(r, masked(1, hellos[index]));
    if (opened.empty()) becomeOpen(r);
    length = 0;
  }
  if (!r.rest.empty()) {
    r.rest.append(data, length);
    r.rest.erase(0, frames(r, r.rest.data(), r.rest.size()));
    return;
  }
  size_t used = frames(r, data, length);
  if (used < length) r.rest.assign(data + used, length - used);
}

static void interest(Receiver& r, uint32_t events, int op) {
  epoll_event e{};
  e.events = events;
  e.data.u64 = uint64_t(&r - &all[0]);
  epoll_ctl(ep, op, r.fd, &e);
}

static void connectMore() {
  while (next_ < all.size() && busy < 64) {
    Receiver& r = all[next_++];
    r.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    setsockopt(r.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    // Fixed before the connection, or the kernel would take in megabytes for a reader that has stopped.
    int window = 128 * 1024;
    setsockopt(r.fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect(r.fd, (sockaddr*)&a, sizeof a);
    busy++;
    interest(r, EPOLLOUT, EPOLL_CTL_ADD);
  }
}

static void connected(Receiver& r) {
  sendAll(r, "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: c2tlaW5za2Vpbi0xMjM0NQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  r.state = Receiver::upgrading;
  interest(r, EPOLLIN, EPOLL_CTL_MOD);
}

static double at(const std::vector<uint32_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  size_t rank = size_t(share * double(sorted.size()) + 0.999999);
  return sorted[std::min(sorted.size() - 1, rank ? rank - 1 : 0)] / 1000.0;
}

/** `report <last>`: what did not reach a socket that is still open, up to number <last>, is lost. */
static void report(uint64_t upTo) {
  std::sort(micros.begin(), micros.end());
  std::sort(decided.begin(), decided.end());
  uint64_t missing = lost, low = UINT64_MAX;
  for (auto& r : all) {
    if (r.state != Receiver::open || r.wasStalled) continue;
    low = std::min(low, r.last);
    if (upTo > r.last) missing += upTo - r.last;
  }
  printf("{\"received\":%llu,\"bytes\":%llu,\"lost\":%llu,\"duplicated\":%llu,\"reordered\":%llu,\"lowest\":%llu,"
         "\"open\":%zu,\"gone\":%zu,\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"max\":%.3f,"
         "\"decidedP50\":%.3f,\"decidedP99\":%.3f}\n",
         (unsigned long long)received, (unsigned long long)bytes, (unsigned long long)missing,
         (unsigned long long)duplicated, (unsigned long long)reordered,
         (unsigned long long)(low == UINT64_MAX ? 0 : low), openCount - std::min(openCount, goneCount), goneCount,
         at(micros, .5), at(micros, .95), at(micros, .99), at(micros, 1), at(decided, .5), at(decided, .99));
  fflush(stdout);
}

static void command(const std::string& line) {
  char* rest;
  std::string name = line.substr(0, line.find(' '));
  uint64_t n = line.size() > name.size() ? strtoull(line.c_str() + name.size(), &rest, 10) : 0;
  if (name == "report") report(n);
  else if (name == "progress") {
    uint64_t low = UINT64_MAX;
    for (auto& r : all) if (r.state == Receiver::open && !r.wasStalled) low = std::min(low, r.last);
    printf("{\"received\":%llu,\"lowest\":%llu}\n", (unsigned long long)received, (unsigned long long)(low == UINT64_MAX ? 0 : low));
    fflush(stdout);
  } else if (name == "reset") {
    received = bytes = lost = duplicated = reordered = 0;
    micros.clear();
    decided.clear();
    printf("{}\n");
    fflush(stdout);
  } else if (name == "stall") {  // the first n sockets stop reading
    for (size_t i = 0; i < n && i < all.size(); i++) {
      if (all[i].state != Receiver::open) continue;
      all[i].wasStalled = true;
      interest(all[i], 0, EPOLL_CTL_MOD);
    }
    printf("{}\n");
    fflush(stdout);
  }
}

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  port = atoi(argv[1]);
  path = argv[2];
  std::ifstream file(argv[3]);
  for (std::string line; std::getline(file, line);) hellos.push_back(line);
  order_ = argv[4];
  opened = argv[5];
  all.resize(strtoul(argv[6], nullptr, 10));
  micros.reserve(1 << 20);
  ep = epoll_create1(0);
  fcntl(0, F_SETFL, O_NONBLOCK);
  epoll_event in{};
  in.events = EPOLLIN;
  in.data.u64 = UINT64_MAX;
  epoll_ctl(ep, EPOLL_CTL_ADD, 0, &in);
  std::string input;
  std::vector<epoll_event> events(1024);
  for (;;) {
    connectMore();
    int n = epoll_wait(ep, events.data(), int(events.size()), -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.u64 == UINT64_MAX) {
        ssize_t got = read(0, buffer, sizeof buffer);
        if (got == 0) return 0;
        if (got > 0) input.append(buffer, got);
        for (size_t nl; (nl = input.find('\n')) != std::string::npos; input.erase(0, nl + 1)) command(input.substr(0, nl));
        continue;
      }
      Receiver& r = all[events[i].data.u64];
      if (r.state == Receiver::gone) continue;
      if (r.state == Receiver::connecting) connected(r);
      else if (events[i].events & EPOLLIN && !r.wasStalled) readable(r);
      else if (events[i].events & (EPOLLHUP | EPOLLERR)) end(r);
    }
  }
}
