"""A TCP proxy before Postgres. It resets a connection, once, at a point of the conversation that the test names.

Without an order it only passes on.
"""

import dataclasses

import psycopg

from .links import UP, Connection, Links

LONGEST_WORD = 64


@dataclasses.dataclass
class Cut:
    word: bytes
    after: int  # bytes behind the word that still pass, of those that come with it
    answer: bool  # everything passes, but no answer comes back


class Proxy:
    def __init__(self, server_url):
        parts = psycopg.conninfo.conninfo_to_dict(server_url)
        self._server = (parts["host"], int(parts["port"]))
        self._links = Links()
        self.order = None
        self.cuts = 0

    def start(self):
        self._links.start()
        self._link = self._links.add("postgres", self._server, kind=lambda link: _Watched(link, self))
        return self

    def stop(self):
        self._links.stop()

    def url(self, url):
        """The same database, by way of the proxy."""
        host, port = self._server
        return url.replace(f"@{host}:{port}/", f"@127.0.0.1:{self._link.port}/")

    def cut_request(self, word, after=0):
        """The next connection in which the client says `word` is reset before the server has got all of the request."""
        self.order = Cut(word.encode(), after, answer=False)

    def cut_answer(self, word):
        """The same, but when the server's answer begins to come: it has done what it was asked, and nobody hears of it."""
        self.order = Cut(word.encode(), 0, answer=True)


class _Watched(Connection):
    def __init__(self, link, proxy):
        super().__init__(link)
        self._proxy = proxy
        self._said = b""
        self._answer_is_cut = False

    def heard(self, way, data):
        if way.name != UP:
            return self._cut() if self._answer_is_cut else way.push(data)
        before = self._said[-LONGEST_WORD:]
        self._said = before + data
        cut = self._ordered()
        if cut and not cut.answer:
            end = self._said.find(cut.word) + len(cut.word) + cut.after - len(before)
            if end > 0:
                way.push(data[:end])
            return self._cut()
        self._answer_is_cut = self._answer_is_cut or bool(cut)
        way.push(data)

    def _ordered(self):
        """The order, if it is for this connection; it is carried out once."""
        cut = self._proxy.order
        if not cut or cut.word not in self._said:
            return None
        self._proxy.order = None
        return cut

    def _cut(self):
        self._proxy.cuts += 1
        self.reset()
