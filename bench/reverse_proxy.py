"""The yardstick: a plain reverse proxy of aiohttp server and client that does nothing else.

Run as a process: `python -m bench.reverse_proxy PORT UPSTREAM`.
"""

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web


async def make(upstream: str) -> web.Application:
    """The application that passes everything on to `upstream`."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)

    async def proxy(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {"content-type": "application/json", "authorization": request.headers["authorization"]}
        async with session.post(upstream + request.path, data=body, headers=headers) as reply:
            if "content-length" in reply.headers:
                return web.Response(status=reply.status, body=await reply.read(), content_type=reply.content_type)
            response = web.StreamResponse(status=reply.status, headers={"content-type": reply.headers["content-type"]})
            await response.prepare(request)
            while data := await reply.content.readany():
                await response.write(data)
            await response.write_eof()
            return response

    app = web.Application()
    app.router.add_post("/{path:.*}", proxy)
    return app


async def main(port: int, upstream: str) -> None:
    """Serves until cancelled."""
    runner = web.AppRunner(await make(upstream), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
