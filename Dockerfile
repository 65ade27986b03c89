FROM python:3.11-slim
WORKDIR /srv/amda
ENV PYTHONUNBUFFERED=1 AMDA_DATA_DIR=/var/lib/amda
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
RUN useradd --system --home /var/lib/amda --create-home amda
USER amda
EXPOSE 8000
CMD ["uvicorn", "amda.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log"]
