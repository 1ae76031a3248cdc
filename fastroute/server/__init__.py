"""The two ports: data (client APIs, health) and admin (metrics, switches). aiohttp below its application layer."""
