"""Writes files that are made to harm whoever reads them, into the folder that is named."""

import io
import os
import struct
import sys
import zipfile

FOLDER = sys.argv[1]
REAL = sys.argv[2]
WORD = '<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>%s</w:body></w:document>'
TYPES = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"></Types>'
RELS = '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"></Relationships>'


def write(name, data):
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(data)


def office(name, parts):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr("_rels/.rels", RELS)
        for path, content in parts.items():
            archive.writestr(path, content)
    write(name, out.getvalue())


def pdf(name, objects, trailer="<< /Root 1 0 R >>"):
    body = "%PDF-1.7\n" + "\n".join(f"{n} 0 obj\n{o}\nendobj" for n, o in enumerate(objects, 1))
    write(name, f"{body}\nxref\n0 1\n0000000000 65535 f \ntrailer {trailer}\nstartxref\n9\n%%EOF".encode("latin-1"))


# Archives that grow.
office("bomb.docx", {"word/document.xml": WORD % ("<w:p><w:r><w:t>" + "A" * 600_000_000 + "</w:t></w:r></w:p>")})
office("deep.docx", {"word/document.xml": WORD % ("<w:p>" * 200_000)})
office("laughs.docx", {"word/document.xml": '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9)) + "]>" + WORD % "<w:p><w:r><w:t>&j;</w:t></w:r></w:p>"})
office("outside.docx", {"word/document.xml": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + WORD % "<w:p><w:r><w:t>&a;</w:t></w:r></w:p>"})
office("empty.docx", {"word/document.xml": ""})
office("many.docx", {f"word/{n}.xml": "x" for n in range(20_000)} | {"word/document.xml": WORD % ""})
SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
BOOK = ('<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>')
BOOK_RELS = ('<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
             'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>')


def sheet(name, rows):
    office(name, {"xl/workbook.xml": BOOK, "xl/_rels/workbook.xml.rels": BOOK_RELS, "xl/worksheets/sheet1.xml": SHEET % rows})


sheet("far.xlsx", '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>')
sheet("cells.xlsx", "".join(f'<row r="{n}">' + "".join(f'<c r="{c}{n}"><v>1</v></c>' for c in "ABCDEFGHIJ") + "</row>" for n in range(1, 400_000)))
sheet("wrong.xlsx", '<row r="x"><c r="??" t="s"><v>99999999</v></c></row>')
office("slides.pptx", {f"ppt/slides/slide{n}.xml": "<p:sld>" for n in range(3000)} | {"ppt/presentation.xml": "<p:presentation>"})
write("quine.zip.docx", b"PK\x03\x04" + b"\0" * 100_000)
write("cut.docx", open(os.path.join(REAL, "returns.docx"), "rb").read()[:20_000])
write("cut.xlsx", open(os.path.join(REAL, "prices.xlsx"), "rb").read()[:4_000])
write("cut.pptx", open(os.path.join(REAL, "plan.pptx"), "rb").read()[:20_000])

# PDF.
real = open(os.path.join(REAL, "repairs.pdf"), "rb").read()
write("cut.pdf", real[: len(real) // 2])
write("flipped.pdf", bytes(b ^ 0x55 if n % 97 == 0 else b for n, b in enumerate(real)))
write("garbage.pdf", b"%PDF-1.7\n" + os.urandom(300_000))
pdf("circle.pdf", ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Count 1 /Kids [2 0 R] >>"])
pdf("claims.pdf", ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Count 2000000000 /Kids [] >>"])
pdf("nested.pdf", ["<< /Type /Catalog /Pages 2 0 R >>", "[" * 300_000])
pdf("endless.pdf", ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
                    "<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>", "<< /Length 5000000 >>\nstream\n" + "q " * 2_500_000 + "\nendstream"])

# Text.
write("deep.html", b"<html><body>" + b"<ul><li>" * 400_000)
write("wide.html", b"<html><body>" + b"<table><tr><td>" * 20_000)
write("large.html", b"<html>" + b"<p>word word</p>" * 900_000)
write("deep.json", b"[" * 3_000_000)
write("large.json", b"[" + b'"x",' * 2_000_000 + b"1]")
write("open.csv", b'a,b\n"' + b"x,y\n" * 3_000_000)
write("run.txt", b"A" * 8_000_000)
write("lines.md", b"# h\n" * 1_500_000)
write("wide.txt", b"\xff\xfe" + struct.pack("<H", 0xD800) * 2_000_000)
write("cues.vtt", b"WEBVTT\n\n" + b"00:01.000 --> 00:02.000\n<" * 500_000)
write("parts.eml", b"From: a@b\nSubject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 50_000)
