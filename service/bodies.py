"""Request bodies: read within caps, and multipart forms taken apart."""

import asyncio
import re
import zlib

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from service import pictures
from service.errors import BadBody, BodyTooLarge, EmptyBody, SlowBody, TooManyPictures, UnsupportedMediaType, shown
from service.settings import Settings

AUTOMATIC = zlib.MAX_WBITS | 32
"""zlib's word for: gzip or zlib, whichever the header says."""
BARE = -zlib.MAX_WBITS
"""zlib's word for: deflate without a header. Some callers mean this by "deflate"."""
FILENAME = re.compile(rb";\s*filename\*?\s*=", re.IGNORECASE)
"""Also in the form of RFC 5987, `filename*`. To take the header apart would take a thousand times as long."""
GZIP = b"\x1f\x8b"
MAX_FIELDS = 64
"""Parts of a form that are no pictures, at most."""


async def read(request: Request, settings: Settings) -> bytes:
    """The whole body.

    The size is checked from the header, and again while reading, so that a huge body gets its answer early.

    Raises:
        BodyTooLarge: More than `max_body_bytes`.
        EmptyBody: No bytes at all.
        SlowBody: Not here within `body_s`.
        UnsupportedMediaType: Compressed.
        starlette.requests.ClientDisconnect: The caller has left.
    """
    headers = dict(request.scope["headers"])
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        raise UnsupportedMediaType(
            "the body is compressed", expected="no Content-Encoding", found=encoding[:40].decode("latin-1")
        )
    body = await collect(request, headers, settings)
    if not body:
        raise EmptyBody(
            "the request has no body",
            expected="a picture file, a multipart form or JSON",
            found="0 bytes",
            fix="curl --data-binary @seven.png …/predict",
        )
    return body


async def read_inflated(request: Request, settings: Settings) -> bytes:
    """The whole body, which may be compressed with gzip or deflate, and may be empty.

    Raises:
        BadBody: Not compressed as the header says.
        UnsupportedMediaType: Compressed in another way.
        CallerError: As in `read`; `max_body_bytes` holds before and after.
    """
    headers = dict(request.scope["headers"])
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding not in (b"identity", b"gzip", b"x-gzip", b"deflate"):
        raise UnsupportedMediaType(
            "the body is compressed in a way that we do not read",
            expected="gzip or deflate",
            found=shown(encoding.decode("latin-1"), 40),
        )
    body = await collect(request, headers, settings)
    if encoding == b"identity":
        return body
    return await asyncio.to_thread(inflate, body, settings.max_body_bytes)


def inflate(body: bytes, limit: int) -> bytes:
    """gzip, zlib or bare deflate, told by the first bytes; never more than `limit` comes out.

    Raises:
        BadBody: None of them, cut short, or with something behind.
        BodyTooLarge: More would come out.
    """
    zlib_header = len(body) > 1 and body[0] & 15 == zlib.DEFLATED and int.from_bytes(body[:2]) % 31 == 0
    packed = zlib.decompressobj(AUTOMATIC if zlib_header or body[:2] == GZIP else BARE)
    try:
        plain = packed.decompress(body, limit + 1)
    except zlib.error:
        raise BadBody("the body is not compressed as its header says", expected="gzip or deflate") from None
    if len(plain) > limit:
        raise too_large(limit, f"more, from {len(body):,} compressed bytes")
    if not packed.eof or packed.unused_data:
        raise BadBody("the compressed body is not whole", expected="one stream of gzip or deflate, and nothing else")
    return plain


async def collect(request: Request, headers: dict[bytes, bytes], settings: Settings) -> bytes:
    """The whole body as it was sent. Errors as in `read`."""
    limit = settings.max_body_bytes
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        raise too_large(limit, f"{int(announced):,} bytes")
    end = asyncio.get_running_loop().time() + settings.body_s
    message = await arrival(request, settings.body_s)
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        chunks, size = [body], len(body)
        while message.get("more_body"):
            message = await arrival(request, end - asyncio.get_running_loop().time())
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > limit:
                raise too_large(limit, f"{size:,} bytes and more to come")
        body = b"".join(chunks)
    if len(body) > limit:
        raise too_large(limit, f"{len(body):,} bytes")
    return body


async def arrival(request: Request, seconds: float) -> Message:
    """The next piece of the body."""
    late = False
    reading = asyncio.current_task()

    def give_up() -> None:
        nonlocal late
        late = True
        reading.cancel()  # type: ignore[union-attr]

    # As asyncio.timeout, in a quarter of its time: nearly always the body is there already.
    timer = asyncio.get_running_loop().call_later(seconds, give_up)
    try:
        message = await request.receive()
    except asyncio.CancelledError:
        if late:
            raise SlowBody("the body did not arrive in time", fix="send it faster, or raise body_s") from None
        raise
    finally:
        timer.cancel()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


def too_large(limit: int, found: str) -> BodyTooLarge:
    return BodyTooLarge(
        "the body is too large",
        expected=f"at most {limit:,} bytes (max_body_bytes)",
        found=found,
        fix="send fewer or smaller pictures",
    )


class Form(MultipartParser):
    """Collects the parts of a multipart form that carry a picture.

    That is every part with a file name, and every other part that does not look like text: a caller may forget the
    name, and a page may send fields of its own along.
    """

    def __init__(self, boundary: bytes, max_parts: int) -> None:
        self.parts: list[bytes] = []
        self.max_parts = max_parts
        self.count = 0
        self.header = b""
        self.has_name = False
        self.data: list[bytes] = []
        super().__init__(
            boundary,
            {
                "on_part_begin": self.begin,
                "on_header_begin": self.header_begin,
                "on_header_field": self.header_field,
                "on_header_value": self.header_value,
                "on_part_data": self.part_data,
                "on_part_end": self.end,
            },
        )

    def begin(self) -> None:
        self.count += 1
        if self.count > self.max_parts + MAX_FIELDS:
            raise self.too_many()
        self.has_name = False
        self.data = []

    def header_begin(self) -> None:
        self.header = b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end].lower()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        if self.header == b"content-disposition":
            self.has_name = FILENAME.search(data, start, end) is not None

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.data.append(data[start:end])

    def end(self) -> None:
        part = b"".join(self.data)
        if self.has_name or pictures.recognise(part):
            if len(self.parts) == self.max_parts:
                raise self.too_many()
            self.parts.append(part)

    def too_many(self) -> TooManyPictures:
        return TooManyPictures("the form has too many parts", expected=f"at most {self.max_parts:,}", found="more")


def files(body: bytes, content_type: str, max_parts: int) -> list[bytes]:
    """The files of a multipart form, in order, whatever their fields are called.

    Raises:
        BadBody: Not a whole form.
        EmptyBody: A form without a file.
        TooManyPictures: More than `max_parts`.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise BadBody("the form has no boundary", expected="multipart/form-data; boundary=…", found=content_type[:80])
    start = b"--" + boundary
    if not body.startswith(start) and (at := body.find(b"\r\n" + start)) >= 0:
        body = body[at + 2 :]  # what stands before it is for people (RFC 2046, section 5.1.1)
    ended = False

    def on_end() -> None:
        nonlocal ended
        ended = True

    try:
        form = Form(boundary, max_parts)
        form.set_callback("end", on_end)
        form.write(body)
    except FormParserError as error:
        raise BadBody("the form is malformed", expected="multipart/form-data", found=str(error)[:120]) from None
    if not ended:
        raise BadBody("the form is cut short", expected="the closing boundary", found="the end of the body")
    if not form.parts:
        raise EmptyBody("the form has no file", expected="one file or many", fix="curl -F image=@seven.png …/predict")
    return form.parts
