from dataclasses import dataclass

from .engine import Engine, Result
from .simple import select


@dataclass
class Session:
    owner: str
    catalog: str | None
    schema: str | None


class Front:
    def __init__(self, engine: Engine | None):
        self._engine = engine

    async def run(self, session: Session, sql: str) -> Result:
        return select(sql, {})
