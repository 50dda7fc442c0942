"""A register in XML of any length, without its bytes in memory."""

import io
from collections.abc import Iterator
from typing import BinaryIO

from tmssl.data.tables.trademark_xml import read_register

ST66 = """<?xml version="1.0" encoding="UTF-8"?>
<Transaction xmlns="http://www.wipo.int/standards/XMLSchema/trademarks">
 <TradeMarkTransactionBody><TransactionContentDetails><TransactionData><TradeMarkDetails>
  <TradeMark operationCode="Insert">
   <RegistrationOfficeCode>EM</RegistrationOfficeCode>
   <ApplicationNumber>000000001</ApplicationNumber>
   <WordMarkSpecification><MarkVerbalElementText>FOO &amp; B\u00c4R</MarkVerbalElementText></WordMarkSpecification>
   <PriorityDetails><Priority><ApplicationNumber>X-99</ApplicationNumber></Priority></PriorityDetails>
   <MarkImageDetails><MarkImage>
     <MarkImageFilename>000000001.jpg</MarkImageFilename><MarkImageFileFormat>JPEG</MarkImageFileFormat>
     <MarkImageCategory><CategoryKind>Vienna</CategoryKind><CategoryVersion>5</CategoryVersion>
      <CategoryCodeDetails><CategoryCode>26.01.03</CategoryCode><CategoryCode>27.5.1</CategoryCode></CategoryCodeDetails>
     </MarkImageCategory>
     <MarkImageCategory><CategoryKind>US Design Search Code</CategoryKind>
      <CategoryCodeDetails><CategoryCode>26.01.21</CategoryCode></CategoryCodeDetails>
     </MarkImageCategory>
   </MarkImage></MarkImageDetails>
  </TradeMark>
  <TradeMark><ApplicationNumber>000000002</ApplicationNumber><MarkFeature>Word</MarkFeature></TradeMark>
  <TradeMark><ApplicationNumber>000000003</ApplicationNumber>
   <MarkImageDetails><MarkImage><MarkImageURI>http://office.example/img/3.GIF</MarkImageURI>
     <MarkImageCategory><CategoryCodeDetails><CategoryCode>0307</CategoryCode></CategoryCodeDetails></MarkImageCategory>
   </MarkImage></MarkImageDetails></TradeMark>
 </TradeMarkDetails></TransactionData></TransactionContentDetails></TradeMarkTransactionBody>
</Transaction>"""


class Endless(io.RawIOBase):
    """A register of many marks that is never all there."""

    def __init__(self, size: int) -> None:
        body = ST66[
            ST66.index("<TradeMark operation") : ST66.index(" </TradeMarkDetails>")
        ].encode()
        self._blocks = self._made(body, size)

    def _made(self, body: bytes, size: int) -> Iterator[bytes]:
        yield b"<Transaction>"
        for _ in range(size // len(body)):
            yield body
        yield b"</Transaction>"

    def read(self, _size: int = -1) -> bytes:
        return next(self._blocks, b"")


def consume(size: int) -> int:
    file: BinaryIO = Endless(size)  # type: ignore[assignment]  # all that is asked of it is `read`
    return sum(len(row["vienna"]) > 0 for row in read_register("r.xml", file))
